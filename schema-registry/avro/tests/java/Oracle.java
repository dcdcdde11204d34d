import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Set;
import org.apache.avro.LogicalTypes;
import org.apache.avro.NameValidator;
import org.apache.avro.Schema;
import org.apache.avro.SchemaCompatibility;
import org.apache.avro.SchemaCompatibility.Incompatibility;
import org.apache.avro.SchemaNormalization;
import org.apache.avro.SchemaParseException;

/**
 * What Apache Avro's Java library says. One request per line:
 * {"references": [text, ...], "schema": text, "stored": bool} is answered by {"text", "resolved", "canonical", "crc64", "md5",
 * "sha256", "logical"} or {"error"}; with "writer": text also by {"findings": [[kind, location, message], ...]} or
 * {"exception"}, "schema" being the reader's. The text is what Confluent's registry stores: the references named.
 */
public class Oracle {
  private static final ObjectMapper JSON = new ObjectMapper();

  public static void main(String[] args) throws Exception {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    PrintStream out = new PrintStream(System.out, false, "UTF-8");
    String line;
    while ((line = in.readLine()) != null) {
      out.print(JSON.writeValueAsString(answer(JSON.readTree(line))));
      out.print('\n');
      if (!in.ready()) {
        out.flush();
      }
    }
    out.flush();
  }

  private static ObjectNode answer(JsonNode request) {
    ObjectNode answer = JSON.createObjectNode();
    Parsed schema;
    try {
      schema = new Parsed(request, request.get("schema").textValue());
      answer.put("text", schema.schema.toString(schema.references, false));
      answer.put("resolved", schema.schema.toString());
      answer.put("canonical", SchemaNormalization.toParsingForm(schema.schema));
      answer.put("crc64", Long.toUnsignedString(SchemaNormalization.parsingFingerprint64(schema.schema)));
      answer.put("md5", hex(SchemaNormalization.parsingFingerprint("MD5", schema.schema)));
      answer.put("sha256", hex(SchemaNormalization.parsingFingerprint("SHA-256", schema.schema)));
      answer.put("logical", logical(schema.schema));
    } catch (Exception | StackOverflowError e) {
      return JSON.createObjectNode().put("error", String.valueOf(e.getMessage()));
    }
    JsonNode writer = request.get("writer");
    if (writer != null) {
      try {
        compare(answer, schema.schema, new Parsed(request, writer.textValue()).schema);
      } catch (Exception | StackOverflowError e) {
        answer.put("exception", String.valueOf(e.getMessage()));
      }
    }
    return answer;
  }

  private static void compare(ObjectNode answer, Schema reader, Schema writer) {
    ArrayNode findings = answer.putArray("findings");
    for (Incompatibility i : SchemaCompatibility.checkReaderWriterCompatibility(reader, writer).getResult()
        .getIncompatibilities()) {
      findings.addArray().add(i.getType().name()).add(i.getLocation()).add(i.getMessage());
    }
  }

  private static String logical(Schema schema) {
    if (schema.getLogicalType() == null) {
      return null;
    }
    if (schema.getLogicalType() instanceof LogicalTypes.Decimal) {
      LogicalTypes.Decimal decimal = (LogicalTypes.Decimal) schema.getLogicalType();
      return "decimal(" + decimal.getPrecision() + ", " + decimal.getScale() + ")";
    }
    return schema.getLogicalType().getName();
  }

  private static String hex(byte[] bytes) {
    StringBuilder hex = new StringBuilder();
    for (byte b : bytes) {
      hex.append(String.format("%02x", b));
    }
    return hex.toString();
  }

  /** A schema and those it refers to, read as Confluent's AvroSchema reads them. */
  private static class Parsed {
    final List<Schema> references = new ArrayList<>();
    final Schema schema;

    Parsed(JsonNode request, String text) {
      boolean stored = request.path("stored").asBoolean();
      Schema.Parser parser =
          new Schema.Parser(stored ? NameValidator.NO_VALIDATION : NameValidator.UTF_VALIDATOR);
      parser.setValidateDefaults(!stored);
      for (JsonNode reference : request.path("references")) {
        references.add(parser.parse(reference.textValue()));
      }
      schema = parser.parse(text);
      if (stored) {
        checkNames(schema, Collections.newSetFromMap(new IdentityHashMap<>()));
      }
    }

    /** As Confluent does, for without validation Java takes any name: namespaces alone are left unchecked. */
    private static void checkNames(Schema schema, Set<Schema> seen) {
      if (!seen.add(schema)) {
        return;
      }
      switch (schema.getType()) {
        case RECORD:
          checkName(schema.getName());
          for (Schema.Field field : schema.getFields()) {
            checkName(field.name());
            checkNames(field.schema(), seen);
          }
          break;
        case ENUM:
          checkName(schema.getName());
          schema.getEnumSymbols().forEach(Parsed::checkName);
          break;
        case FIXED:
          checkName(schema.getName());
          break;
        case ARRAY:
          checkNames(schema.getElementType(), seen);
          break;
        case MAP:
          checkNames(schema.getValueType(), seen);
          break;
        case UNION:
          schema.getTypes().forEach(branch -> checkNames(branch, seen));
          break;
        default:
          break;
      }
    }

    private static void checkName(String name) {
      NameValidator.Result result = NameValidator.UTF_VALIDATOR.validate(name);
      if (!result.isOK()) {
        throw new SchemaParseException(result.getErrors());
      }
    }
  }
}
