#ifndef GRADD_SERVER_PAGE_SERVER_H_
#define GRADD_SERVER_PAGE_SERVER_H_

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/mutex.h"
#include "server/descriptor.h"
#include "server/listener.h"

namespace gradd {

// A page as it is answered. Many connections may send the same one.
struct Page {
  std::string status = "200 OK";
  std::string type = "text/plain; charset=utf-8";
  std::string body;
};

// Serves a few pages over HTTP/1, whatever its peers do: one thread does all that is to do with
// sockets and waits for none of them, so a peer that is slow to ask or to read delays nobody. A
// connection has one request, in at most 8 KiB, and ten seconds for all of it. Beyond 256 of them,
// the oldest of the peer that has most is closed: an honest one is done in milliseconds.
//
// Pages that take time to make are made on a second thread, one at a time; who asks for one while
// it is made gets the next. While peers that do not read hold several of them, the others get the
// newest that there is, so that there are never more than a few in memory.
class PageServer {
 public:
  struct Pages {
    // Called on the thread of the sockets: they must not wait.
    std::map<std::string, std::function<Page()>> quick;
    // Called one at a time, on another.
    std::map<std::string, std::function<Page()>> slow;
  };

  // Serves until it is destroyed, which takes no time. The paths of the pages begin with "/".
  PageServer(Listener listener, Pages pages);
  ~PageServer();
  PageServer(const PageServer&) = delete;
  PageServer& operator=(const PageServer&) = delete;

 private:
  using Bytes = std::shared_ptr<const std::string>;  // A whole answer.
  struct Connection;
  struct Slow {
    std::function<Page()> make;
    bool wanted = false;  // Since it was last begun.
    bool making = false;  // Now.
    uint64_t made = 0;    // So many times.
    Bytes fresh;          // Made, and not yet given to those who wait.
    std::vector<std::weak_ptr<const std::string>> given;  // What connections may still hold.
  };

  void ServeUntilStopped();
  void MakeUntilStopped();
  // Each goes on as far as it can without waiting, and returns false when the connection is over.
  bool Advance(Connection* connection);
  bool Read(Connection* connection);
  bool Write(Connection* connection);
  // Finds what is answered to the request, or what has to be made first.
  void Answer(Connection* connection);
  void AnswerSlowly(const std::string& path, Connection* connection);
  void GiveWhatIsMade();
  // Whether epoll's `data` is one of the listener's sockets.
  bool IsListener(const void* data) const;
  void AcceptFrom(const Descriptor& socket);
  void CloseOldestOfGreediest();
  // Tells epoll what the connection waits for.
  void Watch(int operation, Connection* connection) const;

  Listener listener_;
  const std::map<std::string, std::function<Page()>> quick_;
  const Descriptor epoll_;
  const Descriptor wake_;  // An eventfd: something was made, or it is to stop.

  std::list<Connection> connections_;  // Oldest first. Only the serving thread knows them.

  Mutex mutex_;
  CondVar changed_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, Slow> slow_ ABSL_GUARDED_BY(mutex_);

  std::thread maker_;
  std::thread server_;
};

}  // namespace gradd

#endif  // GRADD_SERVER_PAGE_SERVER_H_
