#ifndef GRADD_TESTS_SUPPORT_FLAKY_PROXY_H_
#define GRADD_TESTS_SUPPORT_FLAKY_PROXY_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

namespace gradd {

// A TCP proxy on loopback whose connections break. It counts the bytes that the client sends
// on each connection, and cuts the connection, both ways and in the middle of whatever was
// being said, when they reach a limit.
class FlakyProxy {
 public:
  // Forwards to `target` (127.0.0.1:PORT). Listens on a free port. With `receive_bytes`, clients'
  // connections have room for about so much that the proxy has not read.
  explicit FlakyProxy(const std::string& target, int receive_bytes = 0);
  ~FlakyProxy();

  const std::string& address() const { return address_; }
  // For connections made from now on; 0: never cut.
  void CutAfter(int64_t client_bytes) { cut_after_ = client_bytes; }
  // Cuts the connections there are.
  void CutNow() { ++cut_generation_; }
  // Keeps the connections there are, and new ones, but passes nothing on any more.
  void Hold() { held_ = true; }
  int64_t connections() const { return connections_; }

 private:
  void Accept();
  void Forward(int client);

  const int target_port_;
  int listener_ = -1;
  std::string address_;
  std::atomic<int64_t> cut_after_{0};
  std::atomic<int64_t> cut_generation_{0};
  std::atomic<int64_t> connections_{0};
  std::atomic<bool> held_{false};
  std::atomic<bool> stopping_{false};
  std::thread acceptor_;
};

}  // namespace gradd

#endif  // GRADD_TESTS_SUPPORT_FLAKY_PROXY_H_
