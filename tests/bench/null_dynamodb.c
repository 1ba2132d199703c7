// A DynamoDB that stores nothing: reads each POST, answers at once, counts what it got. Loopback only.
// usage: null_dynamodb        prints its port; one line on stdin is answered with "requests items bytes" and resets them.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
  int fd;
  char *data;
  size_t size, room;
} Connection;

static unsigned long requests, items, bytes;

static unsigned long occurrences(const char *text, size_t size, const char *word) {
  unsigned long found = 0;
  const char *end = text + size;
  while ((text = memmem(text, end - text, word, strlen(word)))) {
    found++;
    text += strlen(word);
  }
  return found;
}

static void answer(Connection *c, size_t head, size_t length) {
  const char *body = c->data + head, *said = "{}";
  if (memmem(c->data, head, "BatchWriteItem", 14)) {
    items += occurrences(body, length, "\"PutRequest\"");
    said = "{\"UnprocessedItems\":{}}";
  } else {
    items++;
  }
  requests++;
  bytes += length;
  char out[512];
  int n = snprintf(out, sizeof out,
                   "HTTP/1.1 200 OK\r\nServer: Server\r\nDate: Thu, 20 Nov 2025 23:00:00 GMT\r\n"
                   "Content-Type: application/x-amz-json-1.0\r\nContent-Length: %zu\r\nConnection: keep-alive\r\n"
                   "x-amzn-RequestId: 0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123\r\n\r\n%s",
                   strlen(said), said);
  if (write(c->fd, out, n) != n) perror("write");
}

static void take(Connection *c) {
  for (;;) {
    char *end = memmem(c->data, c->size, "\r\n\r\n", 4);
    if (!end) return;
    size_t head = end - c->data + 4, length = 0;
    *end = 0;
    char *told = strcasestr(c->data, "\ncontent-length:");
    if (told) length = strtoul(told + 16, 0, 10);
    *end = '\r';
    if (c->size < head + length) return;
    answer(c, head, length);
    memmove(c->data, c->data + head + length, c->size - head - length);
    c->size -= head + length;
  }
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t length = sizeof address;
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  if (bind(listener, (void *)&address, sizeof address) || listen(listener, 256)) return perror("bind"), 1;
  getsockname(listener, (void *)&address, &length);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  int poll = epoll_create1(0);
  Connection control = {.fd = 0}, door = {.fd = listener};
  struct epoll_event ready[128];
  epoll_ctl(poll, EPOLL_CTL_ADD, 0, &(struct epoll_event){.events = EPOLLIN, .data.ptr = &control});
  epoll_ctl(poll, EPOLL_CTL_ADD, listener, &(struct epoll_event){.events = EPOLLIN, .data.ptr = &door});
  for (;;) {
    int n = epoll_wait(poll, ready, 128, -1);
    for (int i = 0; i < n; i++) {
      Connection *c = ready[i].data.ptr;
      if (c == &control) {
        char line[64];
        if (read(0, line, sizeof line) <= 0) return 0;
        printf("%lu %lu %lu\n", requests, items, bytes);
        fflush(stdout);
        requests = items = bytes = 0;
      } else if (c == &door) {
        Connection *made = calloc(1, sizeof *made);
        made->fd = accept(listener, 0, 0);
        setsockopt(made->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        epoll_ctl(poll, EPOLL_CTL_ADD, made->fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = made});
      } else {
        if (c->room - c->size < 1 << 17) c->data = realloc(c->data, (c->room = c->size + (1 << 18)) + 1);
        ssize_t got = read(c->fd, c->data + c->size, c->room - c->size);
        if (got <= 0) {
          close(c->fd);
          free(c->data);
          free(c);
          continue;
        }
        c->size += got;
        take(c);
      }
    }
  }
}
