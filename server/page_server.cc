#include "server/page_server.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/clock.h"
#include "server/page_request.h"

namespace gradd {
namespace {

constexpr size_t kMaxConnections = 256;
constexpr absl::Duration kRequestPatience = absl::Seconds(10);
constexpr size_t kMaxHeld = 4;  // Of one slow page, made at different times.
constexpr int kNoDescriptorsPauseMs = 10;

std::shared_ptr<const std::string> Serialize(const Page& page) {
  return std::make_shared<const std::string>(absl::StrCat(
      "HTTP/1.1 ", page.status, "\r\nContent-Type: ", page.type, "\r\nContent-Length: ",
      page.body.size(), "\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n", page.body));
}

std::shared_ptr<const std::string> Refusal(const std::string& status) {
  return Serialize({status, "text/plain; charset=utf-8", absl::StrCat(status, "\n")});
}

}  // namespace

struct PageServer::Connection {
  enum class State {
    kReads,    // The request.
    kWaits,    // For a slow page.
    kWrites,   // The answer.
    kLingers,  // Until the peer has closed too: what it has not read would be lost otherwise.
  };

  Descriptor socket;
  std::string peer;
  absl::Duration deadline;
  std::list<Connection>::iterator self;
  State state = State::kReads;
  PageRequest request;
  bool head = false;  // The method is HEAD: only the answer's head is sent.
  std::string waits_for;
  uint64_t waits_until_made = 0;
  Bytes answer;
  size_t sent = 0;
};

PageServer::PageServer(Listener listener, Pages pages)
    : listener_(std::move(listener)),
      quick_(std::move(pages.quick)),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  for (auto& [path, make] : pages.slow) slow_[path].make = std::move(make);
  const auto watch = [this](const Descriptor& descriptor) {
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.ptr = const_cast<Descriptor*>(&descriptor);
    epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor.get(), &event);
  };
  watch(wake_);
  for (const Descriptor& socket : listener_.sockets()) watch(socket);
  maker_ = std::thread([this] { MakeUntilStopped(); });
  server_ = std::thread([this] { ServeUntilStopped(); });
}

PageServer::~PageServer() {
  {
    MutexLock lock(&mutex_);
    stopped_ = true;
  }
  changed_.NotifyAll();
  eventfd_write(wake_.get(), 1);
  server_.join();
  maker_.join();
}

void PageServer::MakeUntilStopped() {
  MutexLock lock(&mutex_);
  while (!stopped_) {
    const auto wanted = std::find_if(slow_.begin(), slow_.end(),
                                     [](const auto& slow) { return slow.second.wanted; });
    if (wanted == slow_.end()) {
      changed_.Wait(&mutex_);
      continue;
    }
    Slow& slow = wanted->second;
    slow.wanted = false;
    slow.making = true;
    mutex_.Unlock();
    Bytes made = Serialize(slow.make());
    mutex_.Lock();
    slow.making = false;
    ++slow.made;
    slow.given.push_back(made);
    slow.fresh = std::move(made);
    eventfd_write(wake_.get(), 1);
  }
}

void PageServer::ServeUntilStopped() {
  std::array<epoll_event, 64> events = {};
  while (true) {
    int timeout_ms = -1;
    if (!connections_.empty()) {
      const absl::Duration left = connections_.front().deadline - Clock::Real()->Elapsed();
      timeout_ms = static_cast<int>(std::max<int64_t>(0, absl::ToInt64Milliseconds(left) + 1));
    }
    const int count = epoll_wait(epoll_.get(), events.data(), events.size(), timeout_ms);
    // Connections first: what comes after may close some that have events here.
    bool woken = false;
    for (int i = 0; i < count; ++i) {
      void* const data = events[static_cast<size_t>(i)].data.ptr;
      woken = woken || data == &wake_;
      if (data == &wake_ || IsListener(data)) continue;
      auto* const connection = static_cast<Connection*>(data);
      if (!Advance(connection)) connections_.erase(connection->self);
    }
    if (woken) {
      eventfd_t times = 0;
      eventfd_read(wake_.get(), &times);
      {
        MutexLock lock(&mutex_);
        if (stopped_) return;
      }
      GiveWhatIsMade();
    }
    for (int i = 0; i < count; ++i) {
      void* const data = events[static_cast<size_t>(i)].data.ptr;
      if (IsListener(data)) AcceptFrom(*static_cast<const Descriptor*>(data));
    }
    const absl::Duration now = Clock::Real()->Elapsed();
    while (!connections_.empty() && connections_.front().deadline <= now) connections_.pop_front();
  }
}

bool PageServer::IsListener(const void* data) const {
  return std::any_of(listener_.sockets().begin(), listener_.sockets().end(),
                     [data](const Descriptor& socket) { return &socket == data; });
}

void PageServer::AcceptFrom(const Descriptor& socket) {
  absl::StatusOr<Accepted> accepted = listener_.Accept(socket);
  if (!accepted.ok()) {
    if (accepted.status().code() != absl::StatusCode::kResourceExhausted) return;
    CloseOldestOfGreediest();  // Which gives a descriptor back.
    poll(nullptr, 0, kNoDescriptorsPauseMs);
    return;
  }
  if (connections_.size() >= kMaxConnections) CloseOldestOfGreediest();
  Connection& connection = connections_.emplace_back();
  connection.self = std::prev(connections_.end());
  connection.socket = std::move(accepted->socket);
  connection.peer = std::move(accepted->peer);
  connection.deadline = Clock::Real()->Elapsed() + kRequestPatience;
  Watch(EPOLL_CTL_ADD, &connection);
}

void PageServer::CloseOldestOfGreediest() {
  std::map<absl::string_view, size_t> of_peer;
  for (const Connection& connection : connections_) ++of_peer[connection.peer];
  const auto greediest =
      std::max_element(of_peer.begin(), of_peer.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  if (greediest == of_peer.end()) return;
  connections_.erase(std::find_if(
      connections_.begin(), connections_.end(),
      [&](const Connection& connection) { return connection.peer == greediest->first; }));
}

void PageServer::Watch(int operation, Connection* connection) const {
  epoll_event event = {};
  event.data.ptr = connection;
  switch (connection->state) {
    case Connection::State::kReads:
    case Connection::State::kLingers:
      event.events = EPOLLIN;
      break;
    case Connection::State::kWaits:
      break;  // Errors are reported all the same.
    case Connection::State::kWrites:
      event.events = EPOLLOUT;
      break;
  }
  epoll_ctl(epoll_.get(), operation, connection->socket.get(), &event);
}

bool PageServer::Advance(Connection* connection) {
  const Connection::State before = connection->state;
  bool goes_on = false;
  switch (before) {
    case Connection::State::kReads:
    case Connection::State::kLingers:
      goes_on = Read(connection);
      break;
    case Connection::State::kWaits:  // It has an event, so the peer is gone.
      break;
    case Connection::State::kWrites:
      goes_on = Write(connection);
      break;
  }
  if (goes_on && connection->state != before) Watch(EPOLL_CTL_MOD, connection);
  return goes_on;
}

bool PageServer::Read(Connection* connection) {
  char part[4096];
  const ssize_t size = recv(connection->socket.get(), part, sizeof(part), 0);
  if (size == 0) return false;
  if (size < 0) return errno == EAGAIN || errno == EINTR;
  if (connection->state == Connection::State::kLingers) return true;
  switch (connection->request.Take({part, static_cast<size_t>(size)})) {
    case PageRequest::State::kIncomplete:
      return true;
    case PageRequest::State::kComplete:
      Answer(connection);
      break;
    case PageRequest::State::kTooLarge:
      connection->answer = Refusal("431 Request Header Fields Too Large");
      break;
    case PageRequest::State::kMalformed:
      connection->answer = Refusal("400 Bad Request");
      break;
  }
  if (connection->answer == nullptr) {
    connection->state = Connection::State::kWaits;
    return true;
  }
  connection->state = Connection::State::kWrites;
  return Write(connection);
}

void PageServer::Answer(Connection* connection) {
  const PageRequest& request = connection->request;
  connection->head = request.method() == "HEAD";
  if (request.method() != "GET" && !connection->head) {
    connection->answer = Refusal("405 Method Not Allowed");
    return;
  }
  const std::string path(request.path());
  if (const auto quick = quick_.find(path); quick != quick_.end()) {
    connection->answer = Serialize(quick->second());
    return;
  }
  AnswerSlowly(path, connection);
}

void PageServer::AnswerSlowly(const std::string& path, Connection* connection) {
  MutexLock lock(&mutex_);
  const auto found = slow_.find(path);
  if (found == slow_.end()) {
    connection->answer = Refusal("404 Not Found");
    return;
  }
  Slow& slow = found->second;
  slow.given.erase(std::remove_if(slow.given.begin(), slow.given.end(),
                                  [](const auto& given) { return given.expired(); }),
                   slow.given.end());
  if (slow.given.size() >= kMaxHeld) connection->answer = slow.given.back().lock();
  if (connection->answer != nullptr) return;
  slow.wanted = true;
  connection->waits_for = path;
  connection->waits_until_made = slow.made + (slow.making ? 2 : 1);
  changed_.NotifyOne();
}

void PageServer::GiveWhatIsMade() {
  std::map<std::string, std::pair<uint64_t, Bytes>> all;
  {
    MutexLock lock(&mutex_);
    for (auto& [path, slow] : slow_) {
      if (slow.fresh != nullptr) all[path] = {slow.made, std::exchange(slow.fresh, nullptr)};
    }
  }
  for (auto it = connections_.begin(); it != connections_.end();) {
    Connection& connection = *it++;
    if (connection.state != Connection::State::kWaits) continue;
    const auto made = all.find(connection.waits_for);
    if (made == all.end() || made->second.first < connection.waits_until_made) continue;
    connection.answer = made->second.second;
    connection.state = Connection::State::kWrites;
    Watch(EPOLL_CTL_MOD, &connection);
  }
}

bool PageServer::Write(Connection* connection) {
  const std::string& answer = *connection->answer;
  const size_t end = connection->head ? answer.find("\r\n\r\n") + 4 : answer.size();
  while (connection->sent < end) {
    const ssize_t size = send(connection->socket.get(), answer.data() + connection->sent,
                              end - connection->sent, MSG_NOSIGNAL);
    if (size < 0) return errno == EAGAIN || errno == EINTR;
    connection->sent += static_cast<size_t>(size);
  }
  shutdown(connection->socket.get(), SHUT_WR);
  connection->answer.reset();
  connection->state = Connection::State::kLingers;
  return true;
}

}  // namespace gradd
