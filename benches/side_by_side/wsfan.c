/*
 * wsfan: measures a server from outside and spends as little as it can: one epoll loop, no parsing beyond frame headers and a
 * search for one key. It prints one JSON object on one line. It connects to 127.0.0.1 only, and each of its waits is bounded.
 *
 *   wsfan fan   opens sockets, fires broadcasts by an HTTP request, and times each frame at each socket
 *   wsfan hold  opens sockets and holds them
 *   wsfan http  registers in a closed loop and checks that no number is given twice
 *
 * Every mode
 *   -P PORT  the server's port (9000)                   -p PID   the server's process, whose CPU time and memory are read
 *   -c CPU   run on this core                           --src K  connect from 127.0.0.2 and the K-1 addresses after it (4)
 *   --timeout MS  limit for one broadcast, and for a run without progress (20000)
 * fan and hold
 *   -n N     sockets (300)                              -w N     concurrent handshakes (256)
 *   --path PATH  path of the socket (/ws)               --settle MS  wait before memory is read (1500)
 *   -T S     seconds that hold keeps the sockets (10)   --stall-pct P  percentage of sockets that never read (0)
 * fan
 *   -b N     measured broadcasts (50)                   --warm N  broadcasts before them (2)
 *   -g MS    between two broadcasts (50)                --trigger PATH, -d BODY  the request; {SEQ} in it is the count
 *   --seq-key KEY  text before the count in a frame ("seq":)      --pad BYTES  pads the body to this length
 * http
 *   -k N     concurrent requests (64)                   -R N     requests (10000)
 *   --newconn  one connection per request               --rpath PATH, -d BODY  the request; {N} in it is the count
 *   --id-key KEY  text before the number in an answer ("number":)
 *
 * Server samples: CPU time by its process clock, memory by /proc/PID/smaps_rollup.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef uint64_t ns;

#define BROADCASTS_MAX 4096
#define NUMBERS_MAX (1 << 24)
#define READ_BYTES (1 << 18)
#define REQUEST_BYTES 80000
#define EVENTS_MAX 512
#define MS 1000000ull

static struct {
    int port, pid, cpu, sources, timeout_ms;
    int sockets, handshakes_max, settle_ms, hold_s, stall_pct, broadcasts, warm, gap_ms, pad;
    int concurrency, new_connections;
    long requests;
    const char *socket_path, *trigger_path, *register_path, *body, *seq_key, *number_key;
} options = {
    .port = 9000, .cpu = -1, .sources = 4, .timeout_ms = 20000,
    .sockets = 300, .handshakes_max = 256, .settle_ms = 1500, .hold_s = 10, .broadcasts = 50, .warm = 2, .gap_ms = 50,
    .concurrency = 64, .requests = 10000,
    .socket_path = "/ws", .trigger_path = "/trigger", .register_path = "/register", .seq_key = "\"seq\":", .number_key = "\"number\":",
};

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(2);
}

static ns read_clock(clockid_t clock) {
    struct timespec t;
    return clock_gettime(clock, &t) ? 0 : t.tv_sec * 1000000000ull + t.tv_nsec;
}

static ns now(void) { return read_clock(CLOCK_MONOTONIC); }

/* ------------------------------------------------------------------------------------------------------ the server, sampled */

struct sample {
    ns cpu;
    size_t rss;
};

static struct sample sample_server(void) {
    struct sample sample = {0};
    clockid_t clock;
    char line[256];
    size_t kib;
    if (!clock_getcpuclockid(options.pid, &clock)) sample.cpu = read_clock(clock);
    snprintf(line, sizeof line, "/proc/%d/smaps_rollup", options.pid);
    FILE *file = fopen(line, "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Rss: %zu", &kib) == 1) sample.rss = kib << 10;
    if (file) fclose(file);
    return sample;
}

/* ----------------------------------------------------------------------------------------------------------------- figures */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The value below which `share` of the values lie. Sorts them. */
static double quantile(double *values, size_t count, double share) {
    if (!count) return 0;
    qsort(values, count, sizeof *values, by_value);
    return values[(size_t)(share * (count - 1) + 0.5)];
}

static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count + 1, size);
    if (!memory) die("wsfan: no memory");
    return memory;
}

/* `text` with every `key` replaced by `value`. */
static size_t substitute(char *to, const char *text, const char *key, long value) {
    char *start = to;
    while (*text) {
        if (strncmp(text, key, strlen(key))) *to++ = *text++;
        else to += sprintf(to, "%ld", value), text += strlen(key);
    }
    *to = 0;
    return to - start;
}

/* ----------------------------------------------------------------------------------------------------------------- sockets */

enum state { CONNECTING, HANDSHAKE, OPEN, STALLED, GONE };

struct peer {
    int fd;
    enum state state;
    ns began;
    unsigned last_seq;
    size_t rest_len; /* bytes of an unfinished frame or response head, in `rest` */
    unsigned char *rest;
};

static struct {
    int started, pending, open, failed, dropped, stalled;
    size_t handshakes;
    unsigned seq; /* of the broadcast in flight */
    ns fired_at;
    size_t delivered; /* of the broadcast in flight */
} run;

static double *latencies_us, *handshakes_us;
static struct peer *peers;
static int epoll, handshake_len;
static char handshake[2048];
static unsigned char input[READ_BYTES + 1];

static struct sockaddr_in server_address(void) {
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(options.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* Starts a connection. One source address has too few ports for tens of thousands, so several take turns. */
static int start_connection(int index) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0) return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000002u + index % options.sources)};
    struct sockaddr_in to = server_address();
    if (bind(fd, (struct sockaddr *)&from, sizeof from) || (connect(fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS)) {
        close(fd);
        return -1;
    }
    return fd;
}

static void watch(int operation, int fd, unsigned events, unsigned index) {
    struct epoll_event event = {.events = events, .data.u32 = index};
    epoll_ctl(epoll, operation, fd, &event);
}

static void keep_rest(struct peer *peer, const unsigned char *from, size_t len) {
    unsigned char *rest = NULL;
    if (len) rest = memcpy(allocate(len, 1), from, len);
    free(peer->rest);
    peer->rest = rest;
    peer->rest_len = len;
}

static void drop_peer(struct peer *peer) {
    if (peer->state == OPEN) run.open--, run.dropped++;
    else {
        int last_error = errno, socket_error = 0;
        getsockopt(peer->fd, SOL_SOCKET, SO_ERROR, &socket_error, &(socklen_t){sizeof socket_error});
        if (run.failed < 2)
            fprintf(stderr, "wsfan: lost before it was open, in state %d: %s, then %s\n", peer->state, strerror(last_error), strerror(socket_error));
        run.failed++, run.pending--;
    }
    close(peer->fd);
    keep_rest(peer, NULL, 0);
    peer->state = GONE;
}

static void start_peer(void) {
    struct peer *peer = &peers[run.started];
    peer->began = now();
    peer->fd = start_connection(run.started);
    run.pending++;
    if (peer->fd < 0) drop_peer(peer);
    else watch(EPOLL_CTL_ADD, peer->fd, EPOLLIN | EPOLLOUT, run.started);
    run.started++;
}

/* Counts a text frame if it is the broadcast in flight and this peer's first copy of it. */
static void count_frame(struct peer *peer, const unsigned char *text, size_t len, ns at) {
    const unsigned char *found = memmem(text, len, options.seq_key, strlen(options.seq_key));
    if (!found) return;
    unsigned seq = strtoul((const char *)found + strlen(options.seq_key), NULL, 10);
    if (seq != run.seq || peer->last_seq == seq) return;
    peer->last_seq = seq;
    latencies_us[run.delivered++] = (at - run.fired_at) / 1e3;
}

/* Returns a ping's payload (RFC 6455 section 5.5.3) under a mask of zeros. */
static void answer_ping(struct peer *peer, const unsigned char *payload, size_t len) {
    unsigned char pong[131] = {0x8A, 0x80 | len};
    if (len > 125) return;
    memcpy(pong + 6, payload, len);
    (void)!send(peer->fd, pong, 6 + len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Reads the whole frames out of `from` and keeps the rest. A close frame drops the peer. */
static void read_frames(struct peer *peer, const unsigned char *from, size_t len, ns at) {
    size_t done = 0;
    while (len - done >= 2) {
        const unsigned char *frame = from + done;
        size_t header = 2, body = frame[1] & 127;
        if (body == 126) header = 4, body = len - done < 4 ? READ_BYTES : (size_t)frame[2] << 8 | frame[3];
        else if (body == 127) die("wsfan: a frame of more than 64 KiB");
        if (len - done < header + body) break;
        if ((frame[0] & 15) == 1) count_frame(peer, frame + header, body, at);
        else if ((frame[0] & 15) == 9) answer_ping(peer, frame + header, body);
        else if ((frame[0] & 15) == 8) return drop_peer(peer);
        done += header + body;
    }
    keep_rest(peer, from + done, len - done);
}

static void finish_handshake(struct peer *peer, size_t len, ns at) {
    unsigned char *end = memmem(input, len, "\r\n\r\n", 4);
    if (!end) return keep_rest(peer, input, len);
    *end = 0;
    if (strncmp((char *)input, "HTTP/1.1 101", 12) || !strcasestr((char *)input, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")) {
        if (run.failed < 2) fprintf(stderr, "wsfan: refused: %.200s\n", input);
        errno = 0;
        return drop_peer(peer);
    }
    keep_rest(peer, NULL, 0);
    run.pending--;
    if ((peer - peers) % 100 < options.stall_pct) {
        watch(EPOLL_CTL_DEL, peer->fd, 0, 0);
        peer->state = STALLED;
        run.stalled++;
        return;
    }
    peer->state = OPEN;
    run.open++;
    handshakes_us[run.handshakes++] = (at - peer->began) / 1e3;
    size_t head = end + 4 - input;
    read_frames(peer, input + head, len - head, at);
}

static void read_peer(struct peer *peer) {
    if (peer->rest_len) memcpy(input, peer->rest, peer->rest_len);
    ssize_t got = recv(peer->fd, input + peer->rest_len, READ_BYTES - peer->rest_len, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got == 0) errno = 0;
    if (got <= 0) return drop_peer(peer);
    size_t len = peer->rest_len + got;
    input[len] = 0;
    if (peer->state == HANDSHAKE) finish_handshake(peer, len, now());
    else read_frames(peer, input, len, now());
}

static void send_handshake(struct peer *peer) {
    peer->state = HANDSHAKE;
    if (send(peer->fd, handshake, handshake_len, MSG_NOSIGNAL) != handshake_len) return drop_peer(peer);
    watch(EPOLL_CTL_MOD, peer->fd, EPOLLIN, peer - peers);
}

static void serve_peers(int wait_ms) {
    struct epoll_event events[EVENTS_MAX];
    int ready = epoll_wait(epoll, events, EVENTS_MAX, wait_ms);
    for (int i = 0; i < ready; i++) {
        struct peer *peer = &peers[events[i].data.u32];
        if (peer->state == GONE) continue;
        if (peer->state != CONNECTING) read_peer(peer);
        else if (events[i].events & (EPOLLERR | EPOLLHUP)) drop_peer(peer);
        else if (events[i].events & EPOLLOUT) send_handshake(peer);
    }
}

static void serve_for(int ms) {
    ns end = now() + ms * MS;
    for (ns at; (at = now()) < end;) serve_peers((end - at) / MS < 20 ? (end - at) / MS + 1 : 20);
}

/* Opens all sockets, with at most `handshakes_max` handshakes at once. Gives up after a timeout without progress. */
static void open_sockets(void) {
    peers = allocate(options.sockets, sizeof *peers);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    ns progress_at = now();
    int done = -1;
    while (run.started < options.sockets || run.pending > 0) {
        while (run.started < options.sockets && run.pending < options.handshakes_max) start_peer();
        serve_peers(100);
        int done_now = run.open + run.failed + run.stalled + run.dropped;
        if (done_now != done) done = done_now, progress_at = now();
        else if (now() - progress_at > options.timeout_ms * MS) break;
    }
    for (int i = 0; i < run.started; i++)
        if (peers[i].state == CONNECTING || peers[i].state == HANDSHAKE) drop_peer(&peers[i]);
}

/* --------------------------------------------------------------------------------------------------------------- broadcasts */

static int trigger_fd = -1;

static void open_trigger(void) {
    if (trigger_fd >= 0) close(trigger_fd);
    struct sockaddr_in to = server_address();
    int one = 1;
    trigger_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(trigger_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(trigger_fd, (struct sockaddr *)&to, sizeof to)) die("wsfan: trigger: %s", strerror(errno));
}

/* Discards the answers to earlier triggers. Returns 0 when the server has closed the connection. */
static int drain_trigger(void) {
    char answer[65536];
    ssize_t got;
    while ((got = recv(trigger_fd, answer, sizeof answer - 1, MSG_DONTWAIT)) > 0) {
        answer[got] = 0;
        if (!strncmp(answer, "HTTP/1.1 ", 9) && answer[9] != '2') die("wsfan: the trigger was refused: %.300s", answer);
    }
    return got != 0;
}

static void fire(void) {
    static char body[REQUEST_BYTES], request[REQUEST_BYTES + 1024];
    int len = substitute(body, options.body, "{SEQ}", run.seq);
    if (len < options.pad) { /* spaces before the last brace */
        memset(body + len - 1, ' ', options.pad - len);
        strcpy(body + options.pad - 1, "}");
        len = options.pad;
    }
    len = snprintf(request, sizeof request, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                   options.trigger_path, len, body);
    for (int attempt = 0; attempt < 3; attempt++) {
        if (trigger_fd < 0 || !drain_trigger()) open_trigger();
        run.fired_at = now();
        if (send(trigger_fd, request, len, MSG_NOSIGNAL) == len) return;
        open_trigger();
    }
    die("wsfan: the trigger cannot be sent");
}

/* Fires one broadcast and waits until every open socket has it, or for the timeout. Returns how many frames are due. */
static size_t broadcast(void) {
    run.seq++;
    run.delivered = 0;
    size_t expected = run.open;
    fire();
    while (run.delivered < (size_t)run.open && now() < run.fired_at + options.timeout_ms * MS) serve_peers(5);
    return expected;
}

static void run_broadcasts(void) {
    double *last = allocate(BROADCASTS_MAX, sizeof *last), *p99 = allocate(BROADCASTS_MAX, sizeof *p99);
    size_t delivered = 0, expected = 0, times = 0;
    run.seq = 1000000;
    for (int i = 0; i < options.warm; i++) broadcast(), serve_for(options.gap_ms);
    ns client_cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID);
    struct sample before = sample_server();
    for (int i = 0; i < options.broadcasts; i++) {
        expected += broadcast();
        delivered += run.delivered;
        if (run.delivered) {
            p99[times] = quantile(latencies_us, run.delivered, 0.99) / 1e3;
            last[times++] = latencies_us[run.delivered - 1] / 1e3;
        }
        serve_for(options.gap_ms);
    }
    struct sample after = sample_server();
    client_cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID) - client_cpu;
    double frames = delivered ? delivered : 1;
    printf(",\"expected\":%zu,\"delivered\":%zu,\"cpu_us_per_frame\":%.4f,\"client_us_per_frame\":%.4f", expected, delivered,
           (after.cpu - before.cpu) / 1e3 / frames, client_cpu / 1e3 / frames);
    printf(",\"last_ms_p50\":%.3f,\"last_ms_p99\":%.3f,\"p99_ms_p50\":%.3f,\"rss_after\":%zu", quantile(last, times, 0.5), quantile(last, times, 0.99),
           quantile(p99, times, 0.5), after.rss);
}

static void run_sockets(int broadcasts) {
    latencies_us = allocate(options.sockets, sizeof *latencies_us);
    handshakes_us = allocate(options.sockets, sizeof *handshakes_us);
    handshake_len = snprintf(handshake, sizeof handshake,
                             "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nOrigin: http://localhost\r\n"
                             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", options.socket_path);
    struct sample empty = sample_server();
    ns began = now();
    open_sockets();
    double connect_ms = (now() - began) / 1e6;
    struct sample opened = sample_server();
    serve_for(options.settle_ms);
    struct sample idle = sample_server();
    double handshakes = run.handshakes ? run.handshakes : 1;
    printf("{\"open\":%d,\"stalled\":%d,\"failed\":%d,\"connect_ms\":%.1f,\"handshake_ms_p50\":%.3f,\"handshake_ms_p99\":%.3f,\"cpu_us_per_handshake\":%.3f",
           run.open, run.stalled, run.failed, connect_ms, quantile(handshakes_us, run.handshakes, 0.5) / 1e3,
           quantile(handshakes_us, run.handshakes, 0.99) / 1e3, (opened.cpu - empty.cpu) / 1e3 / handshakes);
    printf(",\"rss_empty\":%zu,\"rss_idle\":%zu,\"rss_per_socket\":%.1f", empty.rss, idle.rss, ((double)idle.rss - empty.rss) / handshakes);
    if (broadcasts) run_broadcasts();
    else serve_for(options.hold_s * 1000);
    printf(",\"dropped\":%d}\n", run.dropped);
}

/* ------------------------------------------------------------------------------------------------------------ registrations */

struct caller {
    int fd, has_sent;
    ns began;
    size_t got, head_len;
    long answer_len; /* 0 until the head is whole, -1 when the answer ends with the connection */
    char answer[4096];
};

static struct caller *callers;
static long sent, answered, bad, duplicates;
static unsigned char *is_given; /* by number */

static void open_caller(int index) {
    struct caller *caller = &callers[index];
    caller->fd = start_connection(index);
    if (caller->fd < 0) die("wsfan: connect: %s", strerror(errno));
    caller->began = now();
    caller->has_sent = 0;
    watch(EPOLL_CTL_ADD, caller->fd, EPOLLIN | EPOLLOUT, index);
}

static void send_request(struct caller *caller) {
    static char body[REQUEST_BYTES], request[REQUEST_BYTES + 1024];
    int len = substitute(body, options.body, "{N}", sent);
    len = snprintf(request, sizeof request, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s",
                   options.register_path, options.new_connections ? "Connection: close\r\n" : "", len, body);
    if (!options.new_connections) caller->began = now(); /* a new connection counts from its start */
    caller->has_sent = 1, caller->got = 0, caller->answer_len = 0;
    sent++;
    if (send(caller->fd, request, len, MSG_NOSIGNAL) != len) bad++;
}

/* Sets the length of the answer once its head is whole. */
static void measure_answer(struct caller *caller) {
    char *end = strstr(caller->answer, "\r\n\r\n");
    if (!end) return;
    caller->head_len = end + 4 - caller->answer;
    char *length = strcasestr(caller->answer, "\r\ncontent-length:");
    caller->answer_len = length && length < end ? (long)caller->head_len + atol(length + 17) : -1;
}

static void check_answer(struct caller *caller) {
    if (strncmp(caller->answer, "HTTP/1.1 20", 11)) {
        if (bad++ < 2) fprintf(stderr, "wsfan: refused: %.300s\n", caller->answer);
        return;
    }
    char *number = strstr(caller->answer + caller->head_len, options.number_key);
    long value = number ? strtol(number + strlen(options.number_key), NULL, 10) : -1;
    if (value < 0 || value >= NUMBERS_MAX) bad++;
    else if (is_given[value]++) duplicates++;
}

/* Reads more of an answer. Returns 1 when it is whole. */
static int read_answer(struct caller *caller, int *ended) {
    ssize_t got = recv(caller->fd, caller->answer + caller->got, sizeof caller->answer - 1 - caller->got, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return 0;
    *ended = got <= 0;
    if (*ended) return caller->answer_len == -1;
    caller->got += got;
    caller->answer[caller->got] = 0;
    if (!caller->answer_len) measure_answer(caller);
    return caller->answer_len > 0 && caller->got >= (size_t)caller->answer_len;
}

static void serve_caller(int index, unsigned ready) {
    struct caller *caller = &callers[index];
    int ended = 0;
    if (!caller->has_sent) {
        if (ready & (EPOLLERR | EPOLLHUP)) die("wsfan: a connection was refused");
        watch(EPOLL_CTL_MOD, caller->fd, EPOLLIN, index);
        if (sent < options.requests) send_request(caller);
        return;
    }
    int whole = read_answer(caller, &ended);
    if (!whole && !ended) return;
    if (whole) {
        latencies_us[answered++] = (now() - caller->began) / 1e3;
        check_answer(caller);
    } else bad++, answered++;
    if (options.new_connections || ended) {
        close(caller->fd);
        if (sent < options.requests) open_caller(index);
    } else if (sent < options.requests) send_request(caller);
}

static void run_http(void) {
    latencies_us = allocate(options.requests + options.concurrency, sizeof *latencies_us);
    callers = allocate(options.concurrency, sizeof *callers);
    is_given = allocate(NUMBERS_MAX, 1);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct sample before = sample_server();
    ns began = now(), progress_at = began;
    for (int i = 0; i < options.concurrency; i++) open_caller(i);
    while (answered < options.requests && now() - progress_at < options.timeout_ms * MS) {
        struct epoll_event events[EVENTS_MAX];
        int ready = epoll_wait(epoll, events, EVENTS_MAX, 1000);
        if (ready > 0) progress_at = now();
        for (int i = 0; i < ready; i++) serve_caller(events[i].data.u32, events[i].events);
    }
    double elapsed_ms = (now() - began) / 1e6, answers = answered ? answered : 1;
    struct sample after = sample_server();
    printf("{\"answered\":%ld,\"bad\":%ld,\"duplicates\":%ld,\"per_s\":%.0f,\"cpu_us_per_request\":%.3f,\"ms_p50\":%.3f,\"ms_p99\":%.3f,\"rss_after\":%zu}\n",
           answered, bad, duplicates, answered / elapsed_ms * 1e3, (after.cpu - before.cpu) / 1e3 / answers, quantile(latencies_us, answered, 0.5) / 1e3,
           quantile(latencies_us, answered, 0.99) / 1e3, after.rss);
}

/* --------------------------------------------------------------------------------------------------------------------- main */

enum { SRC = 1000, TIMEOUT, SOCKET_PATH, SETTLE, STALL, WARM, TRIGGER, SEQ_KEY, PAD, NEWCONN, RPATH, ID_KEY };

static void read_options(int argc, char **argv) {
    static const struct option names[] = {
        {"src", 1, 0, SRC}, {"timeout", 1, 0, TIMEOUT}, {"path", 1, 0, SOCKET_PATH}, {"settle", 1, 0, SETTLE},
        {"stall-pct", 1, 0, STALL}, {"warm", 1, 0, WARM}, {"trigger", 1, 0, TRIGGER}, {"seq-key", 1, 0, SEQ_KEY},
        {"pad", 1, 0, PAD}, {"newconn", 0, 0, NEWCONN}, {"rpath", 1, 0, RPATH}, {"id-key", 1, 0, ID_KEY}, {0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "P:p:c:n:w:T:b:g:d:k:R:", names, NULL)) != -1) switch (option) {
        case 'P': options.port = atoi(optarg); break;
        case 'p': options.pid = atoi(optarg); break;
        case 'c': options.cpu = atoi(optarg); break;
        case 'n': options.sockets = atoi(optarg); break;
        case 'w': options.handshakes_max = atoi(optarg); break;
        case 'T': options.hold_s = atoi(optarg); break;
        case 'b': options.broadcasts = atoi(optarg); break;
        case 'g': options.gap_ms = atoi(optarg); break;
        case 'd': options.body = optarg; break;
        case 'k': options.concurrency = atoi(optarg); break;
        case 'R': options.requests = atol(optarg); break;
        case SRC: options.sources = atoi(optarg); break;
        case TIMEOUT: options.timeout_ms = atoi(optarg); break;
        case SOCKET_PATH: options.socket_path = optarg; break;
        case SETTLE: options.settle_ms = atoi(optarg); break;
        case STALL: options.stall_pct = atoi(optarg); break;
        case WARM: options.warm = atoi(optarg); break;
        case TRIGGER: options.trigger_path = optarg; break;
        case SEQ_KEY: options.seq_key = optarg; break;
        case PAD: options.pad = atoi(optarg); break;
        case NEWCONN: options.new_connections = 1; break;
        case RPATH: options.register_path = optarg; break;
        case ID_KEY: options.number_key = optarg; break;
        default: exit(64);
    }
    if (options.broadcasts > BROADCASTS_MAX) die("wsfan: at most %d broadcasts", BROADCASTS_MAX);
    if (options.pad >= REQUEST_BYTES || (options.body && strlen(options.body) > REQUEST_BYTES / 2)) die("wsfan: the body is too long");
    if (!options.body) options.body = "{}";
}

int main(int argc, char **argv) {
    if (argc < 2) die("usage: wsfan fan|hold|http [options]; wsfan.c lists them");
    const char *mode = argv[1];
    read_options(argc - 1, argv + 1);
    if (options.cpu >= 0) {
        cpu_set_t cpus;
        CPU_ZERO(&cpus);
        CPU_SET(options.cpu, &cpus);
        sched_setaffinity(0, sizeof cpus, &cpus);
    }
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    signal(SIGPIPE, SIG_IGN);
    if (!strcmp(mode, "http")) run_http();
    else if (!strcmp(mode, "fan") || !strcmp(mode, "hold")) run_sockets(!strcmp(mode, "fan"));
    else die("wsfan: no such mode: %s", mode);
}
