use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The places for connections, in total and for each address. There are as many as the settings say at the moment; who
/// has one keeps it.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_ip: HashMap<IpAddr, usize>,
}

/// One place, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Slots,
    ip: IpAddr,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoSlot {
    #[error("too many connections")]
    Total,
    #[error("too many connections of this address")]
    OfAddress,
}

impl Slots {
    pub(super) fn take(&self, ip: IpAddr, most: usize, most_per_ip: usize) -> Result<Slot, NoSlot> {
        let mut taken = self.lock();
        if taken.total >= most {
            return Err(NoSlot::Total);
        }
        let of_ip = taken.by_ip.get(&ip).copied().unwrap_or(0);
        if of_ip >= most_per_ip {
            return Err(NoSlot::OfAddress);
        }
        taken.total += 1;
        taken.by_ip.insert(ip, of_ip + 1);
        drop(taken);
        Ok(Slot {
            slots: self.clone(),
            ip,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.lock();
        taken.total -= 1;
        if let Some(of_ip) = taken.by_ip.get_mut(&self.ip) {
            *of_ip -= 1;
            if *of_ip == 0 {
                taken.by_ip.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_total_and_by_address() {
        let slots = Slots::default();
        let (one, two) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let take = |ip| slots.take(ip, 3, 2);
        let first = take(one).unwrap();
        let _second = take(one).unwrap();
        assert_eq!(take(one).unwrap_err(), NoSlot::OfAddress);
        let _third = take(two).unwrap();
        assert_eq!(take(two).unwrap_err(), NoSlot::Total);
        drop(first);
        assert!(take(one).is_ok());
        assert_eq!(slots.lock().total, 2);
    }
}
