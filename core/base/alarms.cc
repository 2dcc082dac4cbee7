#include "core/base/alarms.h"

namespace gradd {

void Alarms::Set(absl::Duration at, std::function<void()> wake) {
  bool is_next = false;
  {
    MutexLock lock(&mutex_);
    const auto place = alarms_.emplace(at, std::move(wake));
    is_next = place == alarms_.begin();
  }
  if (is_next) changed_.NotifyAll();
}

void Alarms::Ring() {
  MutexLock lock(&mutex_);
  RingDue();
}

void Alarms::RingUntilStopped() {
  MutexLock lock(&mutex_);
  while (true) {
    RingDue();
    if (stopped_) return;
    if (alarms_.empty()) {
      changed_.Wait(&mutex_);
    } else {
      changed_.WaitFor(&mutex_, alarms_.begin()->first - clock_.Elapsed());
    }
  }
}

void Alarms::Stop() {
  {
    MutexLock lock(&mutex_);
    stopped_ = true;
  }
  changed_.NotifyAll();
}

void Alarms::RingDue() {
  while (!stopped_ && !alarms_.empty() && alarms_.begin()->first <= clock_.Elapsed()) {
    std::function<void()> wake = std::move(alarms_.begin()->second);
    alarms_.erase(alarms_.begin());
    mutex_.Unlock();
    wake();
    wake = nullptr;  // What it has may take the lock, too.
    mutex_.Lock();
  }
}

}  // namespace gradd
