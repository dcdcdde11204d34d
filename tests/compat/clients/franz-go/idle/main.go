// Many idle consumers in one process: BOOTSTRAP TOPIC COUNT. Says `ready` when each has asked once, ends with its stdin.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	bootstrap, topic := os.Args[1], os.Args[2]
	count, err := strconv.Atoi(os.Args[3])
	if err != nil {
		panic(err)
	}
	for range count {
		client, err := kgo.NewClient(
			kgo.SeedBrokers(bootstrap),
			kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtEnd()}}),
			// As long as the Java client waits by default.
			kgo.FetchMaxWait(500*time.Millisecond),
			kgo.MetadataMaxAge(5*time.Minute),
		)
		if err != nil {
			panic(err)
		}
		if err := client.Ping(context.Background()); err != nil {
			panic(err)
		}
		go client.PollFetches(context.Background())
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
}
