/* A CQL v4 node that keeps nothing: it answers every write as done, counts the rows, and sums up their cells.

   usage: null_cql          prints the port that it has taken on loopback, and serves until its stdin is closed

   It costs next to nothing, so what is measured against it is the client. It says enough of itself for the
   CQL driver to connect. Its answer to OPTIONS tells NULL_ROWS and NULL_SUM, a sum that does not depend on the
   order of the rows. Bytes are as in native_protocol_v4.spec. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ERROR = 0, STARTUP = 1, READY = 2, OPTIONS = 5, SUPPORTED = 6, QUERY = 7, RESULT = 8, PREPARE = 9,
       EXECUTE = 10, REGISTER = 11, BATCH = 13, TEXT = 13, BIGINT = 2, UUID = 12, INET = 16, SET = 0x22 };
enum { HEAD = 9, READ_BYTES = 1 << 18 };

typedef struct { uint8_t *bytes; size_t size, room; } Buffer;
typedef struct { int fd, writing; Buffer in, out; } Connection;

static uint64_t rows, sum;

static void need(Buffer *b, size_t more) {
    if (b->size + more <= b->room) return;
    b->room = (b->size + more) * 2;
    if (!(b->bytes = realloc(b->bytes, b->room))) abort();
}
static void put(Buffer *b, const void *from, size_t size) {
    need(b, size);
    memcpy(b->bytes + b->size, from, size);
    b->size += size;
}
static void put1(Buffer *b, int v) { uint8_t byte = v; put(b, &byte, 1); }
static void put2(Buffer *b, int v) { put1(b, v >> 8); put1(b, v); }
static void put4(Buffer *b, uint32_t v) { put2(b, v >> 16); put2(b, v); }
static void string(Buffer *b, const char *s) { put2(b, strlen(s)); put(b, s, strlen(s)); }
static void cell(Buffer *b, const void *from, size_t size) { put4(b, size); put(b, from, size); }
static uint32_t get2(const uint8_t *p) { return p[0] << 8 | p[1]; }
static uint32_t get4(const uint8_t *p) { return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3]; }

static void column(Buffer *b, const char *name, int type) {
    string(b, name);
    put2(b, type);
    if (type == SET) put2(b, TEXT);
}

/* Adds a row's values to the sum; the place behind them. */
static const uint8_t *values(const uint8_t *p) {
    uint64_t hash = 1469598103934665603u;
    int count = get2(p);
    for (p += 2; count > 0; count--) {
        int32_t size = get4(p);
        p += 4;
        hash = (hash ^ (uint32_t)size) * 1099511628211u;
        for (; size >= 8; size -= 8, p += 8) {
            uint64_t word;
            memcpy(&word, p, 8);
            hash = (hash ^ word) * 1099511628211u;
            hash ^= hash >> 29;
        }
        for (; size > 0; size--) hash = (hash ^ *p++) * 1099511628211u;
    }
    rows++;
    sum += hash;
    return p;
}

static void batch(const uint8_t *p) {
    int count = get2(p + 1);
    for (p += 3; count > 0; count--) p = values(p + 3 + get2(p + 1));
}

static void supported(Buffer *b) {
    char text[32];
    put2(b, 4);
    string(b, "COMPRESSION"); put2(b, 0);
    string(b, "CQL_VERSION"); put2(b, 1); string(b, "3.4.5");
    snprintf(text, sizeof text, "%llu", (unsigned long long)rows);
    string(b, "NULL_ROWS"); put2(b, 1); string(b, text);
    snprintf(text, sizeof text, "%llu", (unsigned long long)sum);
    string(b, "NULL_SUM"); put2(b, 1); string(b, text);
}

/* The one row of system.local; no row of system.peers. */
static void query(Buffer *b, const char *text, size_t size) {
    static const uint8_t uuid[16] = {1, 2, 3, 4, 5, 6, 0x40, 8, 0x80}, address[4] = {127, 0, 0, 1};
    static const char token[] = "0";
    int local = memmem(text, size, "system.local", 12) != 0;
    put4(b, 2); put4(b, 1); put4(b, local ? 9 : 1); string(b, "system"); string(b, "local");
    if (!local) { column(b, "peer", INET); put4(b, 0); return; }
    column(b, "cluster_name", TEXT); column(b, "data_center", TEXT); column(b, "rack", TEXT);
    column(b, "release_version", TEXT); column(b, "partitioner", TEXT); column(b, "host_id", UUID);
    column(b, "schema_version", UUID); column(b, "rpc_address", INET); column(b, "tokens", SET);
    put4(b, 1);
    cell(b, "null", 4); cell(b, "datacenter1", 11); cell(b, "r", 1); cell(b, "3.11.10", 7);
    cell(b, "org.apache.cassandra.dht.Murmur3Partitioner", 43);
    cell(b, uuid, 16); cell(b, uuid, 16); cell(b, address, 4);
    put4(b, 4 + 4 + 1); put4(b, 1); cell(b, token, 1);
}

/* As if every statement were the INSERT of the bench: id, order, attrs, version, timestamp. */
static void prepared(Buffer *b, const uint8_t *text, size_t size) {
    uint8_t id[16] = {0};
    for (size_t i = 0; i < size; i++) id[i % 16] = id[i % 16] * 31 + text[i];
    put4(b, 4); put2(b, 16); put(b, id, 16);
    put4(b, 1); put4(b, 5); put4(b, 1); put2(b, 0); string(b, "k"); string(b, "t");
    column(b, "id", TEXT); column(b, "order", TEXT); column(b, "attrs", TEXT);
    column(b, "version", BIGINT); column(b, "[timestamp]", BIGINT);
    put4(b, 4); put4(b, 0);
}

static void answer(Buffer *out, const uint8_t *frame, uint32_t size) {
    static const uint8_t done[] = {RESULT, 0, 0, 0, 4, 0, 0, 0, 1};
    static Buffer body;
    const uint8_t *p = frame + HEAD;
    int opcode = RESULT;
    put1(out, 0x84); put1(out, 0); put(out, frame + 2, 2);
    if (frame[4] == EXECUTE || frame[4] == BATCH) {
        if (frame[4] == BATCH) batch(p); else values(p + 2 + get2(p) + 3);
        put(out, done, sizeof done);
        return;
    }
    body.size = 0;
    switch (frame[4]) {
    case OPTIONS: opcode = SUPPORTED; supported(&body); break;
    case STARTUP: case REGISTER: opcode = READY; break;
    case PREPARE: prepared(&body, p + 4, size - 4); break;
    case QUERY:
        if (memmem(p, size, "peers_v2", 8)) { opcode = ERROR; put4(&body, 0x2200); string(&body, "no such table"); }
        else query(&body, (const char *)p + 4, get4(p));
        break;
    default: opcode = ERROR; put4(&body, 0x000A); string(&body, "not spoken here");
    }
    put1(out, opcode); put4(out, body.size); put(out, body.bytes, body.size);
}

static void flush(Connection *c, int poll) {
    size_t sent = 0;
    while (sent < c->out.size) {
        ssize_t took = write(c->fd, c->out.bytes + sent, c->out.size - sent);
        if (took < 0) { if (errno != EAGAIN) sent = c->out.size; break; }
        sent += took;
    }
    memmove(c->out.bytes, c->out.bytes + sent, c->out.size - sent);
    c->out.size -= sent;
    int writing = c->out.size > 0;
    struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.ptr = c};
    if (writing != c->writing) epoll_ctl(poll, EPOLL_CTL_MOD, c->fd, &event);
    c->writing = writing;
}

/* 0 when the connection has ended. */
static int serve(Connection *c, int poll) {
    need(&c->in, READ_BYTES);
    ssize_t got = read(c->fd, c->in.bytes + c->in.size, READ_BYTES);
    if (got <= 0) return got < 0 && errno == EAGAIN;
    c->in.size += got;
    size_t at = 0;
    while (c->in.size - at >= HEAD) {
        uint32_t size = get4(c->in.bytes + at + 5);
        if (c->in.size - at < HEAD + (size_t)size) break;
        answer(&c->out, c->in.bytes + at, size);
        at += HEAD + (size_t)size;
    }
    memmove(c->in.bytes, c->in.bytes + at, c->in.size - at);
    c->in.size -= at;
    flush(c, poll);
    return 1;
}

int main(void) {
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poll = epoll_create1(0);
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof place;
    signal(SIGPIPE, SIG_IGN);
    if (bind(listener, (void *)&place, sizeof place) || listen(listener, 64)) { perror("null_cql"); return 1; }
    getsockname(listener, (void *)&place, &length);
    printf("%d\n", ntohs(place.sin_port));
    fflush(stdout);
    struct epoll_event events[64], event = {.events = EPOLLIN, .data.ptr = &listener};
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    event.data.ptr = &one;
    epoll_ctl(poll, EPOLL_CTL_ADD, 0, &event);
    for (;;) {
        int count = epoll_wait(poll, events, 64, -1);
        for (int i = 0; i < count; i++) {
            void *who = events[i].data.ptr;
            if (who == &one) return 0;
            if (who == &listener) {
                int fd = accept4(listener, 0, 0, SOCK_NONBLOCK);
                if (fd < 0) continue;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                Connection *made = calloc(1, sizeof *made);
                made->fd = fd;
                event.data.ptr = made;
                event.events = EPOLLIN;
                epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
                continue;
            }
            Connection *c = who;
            if (events[i].events & EPOLLOUT) flush(c, poll);
            if ((events[i].events & ~EPOLLOUT) && !serve(c, poll)) {
                close(c->fd); free(c->in.bytes); free(c->out.bytes); free(c);
            }
        }
    }
}
