#include "server/page_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/mutex.h"
#include "tests/support/http_get.h"

namespace gradd {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// A server of a quick page, and of a slow one that takes until the test lets it go on.
class PageServerTest : public testing::Test {
 protected:
  PageServerTest() {
    absl::StatusOr<Listener> listener = Listener::BindTcp({"127.0.0.1", 0});
    EXPECT_TRUE(listener.ok()) << listener.status();
    address_ = absl::StrCat("127.0.0.1:", listener->port());
    PageServer::Pages pages;
    pages.quick["/quick"] = [] { return Page{"200 OK", "text/plain", "quick\n"}; };
    pages.slow["/slow"] = [this] {
      MutexLock lock(&mutex_);
      ++begun_;
      changed_.NotifyAll();
      while (allowed_ < begun_) changed_.Wait(&mutex_);
      return Page{"200 OK", "text/plain",
                  absl::StrCat("slow ", begun_, std::string(padding_, '.'))};
    };
    server_ = std::make_unique<PageServer>(*std::move(listener), std::move(pages));
  }
  ~PageServerTest() override {
    Allow(1000);
    server_.reset();
    for (const int connection : connections_) close(connection);
  }

  void Allow(int times) {
    MutexLock lock(&mutex_);
    allowed_ = times;
    changed_.NotifyAll();
  }
  void AwaitBegin(int times) {
    MutexLock lock(&mutex_);
    while (begun_ < times) changed_.Wait(&mutex_);
  }
  // Sends and does not read.
  int Send(const std::string& request) {
    const absl::StatusOr<int> connection = ConnectTo(address_);
    EXPECT_TRUE(connection.ok()) << connection.status();
    send(*connection, request.data(), request.size(), MSG_NOSIGNAL);
    connections_.push_back(*connection);
    return *connection;
  }
  std::string Get(const std::string& page) { return HttpGet(address_, page).value_or("none"); }

  std::string address_;
  size_t padding_ = 0;  // Of the slow page.
  Mutex mutex_;
  CondVar changed_;
  int begun_ = 0;
  int allowed_ = 0;
  std::vector<int> connections_;
  std::unique_ptr<PageServer> server_;
};

TEST_F(PageServerTest, AnswersWhatIsAskedAndSaysWhatIsWrong) {
  EXPECT_EQ(Get("/quick"),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n"
            "Cache-Control: no-store\r\nConnection: close\r\n\r\nquick\n");
  EXPECT_THAT(Get("/quick?x=1"), HasSubstr("\r\n\r\nquick\n"));
  const auto answer = [this](const std::string& request) {
    return HttpExchange(address_, request).value_or("none");
  };
  EXPECT_THAT(answer("GET /quick HTTP/1.1\nHost: x\n\n"), HasSubstr("quick\n"));
  const std::string head = answer("HEAD /quick HTTP/1.1\r\n\r\n");
  EXPECT_THAT(head, HasSubstr("Content-Length: 6\r\n"));
  EXPECT_THAT(head, testing::EndsWith("\r\n\r\n"));
  EXPECT_THAT(Get("/secrets"), StartsWith("HTTP/1.1 404 Not Found\r\n"));
  EXPECT_THAT(answer("POST /quick HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(answer("\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(answer("GET /quick\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(answer("GET /" + std::string(8191, 'x')), StartsWith("HTTP/1.1 431 "));
}

TEST_F(PageServerTest, PeersThatAskSlowlyDelayNobody) {
  for (int i = 0; i < 200; ++i) Send("GET /quick HT");
  EXPECT_THAT(Get("/quick"), HasSubstr("quick\n"));
}

TEST_F(PageServerTest, BeyondTheMostTheOldestIsClosed) {
  for (int i = 0; i < 300; ++i) Send("GET /quick HT");
  EXPECT_THAT(Get("/quick"), HasSubstr("quick\n"));
  char byte = 0;
  EXPECT_LE(recv(connections_.front(), &byte, 1, 0), 0);
  EXPECT_EQ(recv(connections_.back(), &byte, 1, MSG_DONTWAIT), -1);
  EXPECT_EQ(errno, EAGAIN);
}

TEST_F(PageServerTest, WhatIsSlowToMakeDelaysOnlyThoseWhoWantIt) {
  std::thread scrape([this] { EXPECT_THAT(Get("/slow"), HasSubstr("slow 1")); });
  AwaitBegin(1);
  EXPECT_THAT(Get("/quick"), HasSubstr("quick\n"));
  // Who asks now must not get what was begun before.
  std::thread next([this] { EXPECT_THAT(Get("/slow"), HasSubstr("slow 2")); });
  EXPECT_THAT(Get("/quick"), HasSubstr("quick\n"));
  Allow(1);
  scrape.join();
  Allow(2);
  next.join();
}

TEST_F(PageServerTest, PeersThatDoNotReadDelayNobodyAndHoldFewPages) {
  padding_ = 16 << 20;  // More than the sockets take.
  Allow(1000);
  for (int i = 0; i < 70; ++i) {
    Send("GET /slow HTTP/1.1\r\n\r\n");
    if (i % 10 == 9) {
      EXPECT_THAT(Get("/slow"), HasSubstr("slow "));
    }
  }
  EXPECT_THAT(Get("/quick"), HasSubstr("quick\n"));
  MutexLock lock(&mutex_);
  // Of 77: whoever asks while a page is made shares the next one, so that each of the seven that
  // are waited for costs two at most.
  EXPECT_LE(begun_, 14);
}

TEST_F(PageServerTest, StopsWhateverItsPeersDo) {
  padding_ = 16 << 20;
  Allow(1);
  Send("GET /slow HTTP/1.1\r\n\r\n");
  AwaitBegin(1);
  for (int i = 0; i < 100; ++i) Send("GET /quick HT");
  server_.reset();
}

}  // namespace
}  // namespace gradd
