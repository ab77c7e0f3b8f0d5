/*
 * wsfan: measures a server from outside, spending as little as it can: one epoll loop, no parsing beyond frame headers and a
 * search for one key. It prints one JSON object on one line. It speaks to 127.0.0.1 alone, and every wait of it is bounded.
 *
 *   wsfan fan   opens sockets, fires broadcasts by a request of its own, and times each frame at each socket
 *   wsfan hold  opens sockets and holds them
 *   wsfan http  registers in a closed loop, and checks that no number is given twice
 *
 * Where and as whom
 *   -P PORT  the server's port (9000)                   -p PID   the server's process, whose CPU time and memory are read
 *   -c CPU   stay on this core                          --src K  come from 127.0.0.2 and the K-1 addresses after it (4)
 *   --timeout MS  for one broadcast, or for no progress (20000)
 * fan and hold
 *   -n N     sockets (300)                              -w N     handshakes under way at once (256)
 *   --path PATH  of the socket (/ws)                    --settle MS  before memory is read (1500)
 *   -T S     how long hold holds (10)                   --stall-pct P  of a hundred sockets, so many never read (0)
 *   -t K     that many processes, each with its part of the sockets: more than RLIMIT_NOFILE allows one (1)
 * fan
 *   -b N     broadcasts that count (50)                 --warm N broadcasts before them (2)
 *   -g MS    between two (50)                           --trigger PATH, -d BODY  the request, {SEQ} in it is the count
 *   --seq-key KEY  what stands before the count in a frame ("seq":)      --pad BYTES  makes the body so long
 * http
 *   -k N     requests under way at once (64)            -R N     requests (10000)
 *   --newconn  a connection each                        --rpath PATH, -d BODY  the request, {N} in it is the count
 *   --id-key KEY  what stands before the number ("number":)
 *
 * Sampled of the server: CPU time by its process clock, memory by /proc/PID/smaps_rollup.
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
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef uint64_t ns;

#define BROADCASTS_MAX 4096
#define PROCESSES_MAX 64
#define NUMBERS_MAX (1 << 24)
#define READ_BYTES (1 << 18)
#define REQUEST_BYTES 80000
#define EVENTS_MAX 512
#define MS 1000000ull

static struct {
    int port, pid, cpu, sources, timeout_ms;
    int sockets, processes, window, settle_ms, hold_s, stall_pct, broadcasts, warm, gap_ms, pad;
    int requests_at_once, new_connections;
    long requests;
    const char *socket_path, *trigger_path, *register_path, *body, *seq_key, *number_key;
} options = {
    .port = 9000, .cpu = -1, .sources = 4, .timeout_ms = 20000,
    .sockets = 300, .processes = 1, .window = 256, .settle_ms = 1500, .hold_s = 10, .broadcasts = 50, .warm = 2, .gap_ms = 50,
    .requests_at_once = 64, .requests = 10000,
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

/* The value below which `share` of them lie; sorts them. */
static double quantile(double *values, size_t count, double share) {
    if (!count) return 0;
    qsort(values, count, sizeof *values, by_value);
    return values[(size_t)(share * (count - 1) + 0.5)];
}

static void *room_for(size_t count, size_t size) {
    void *room = calloc(count + 1, size);
    if (!room) die("wsfan: no memory");
    return room;
}

/* The same, seen by the processes that are made from now on. */
static void *shared_room_for(size_t count, size_t size) {
    void *room = mmap(NULL, (count + 1) * size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED) die("wsfan: no memory");
    return room;
}

/* `text` with every `key` replaced by `value`. */
static size_t fill_in(char *to, const char *text, const char *key, long value) {
    char *start = to;
    while (*text) {
        if (strncmp(text, key, strlen(key))) *to++ = *text++;
        else to += sprintf(to, "%ld", value), text += strlen(key);
    }
    *to = 0;
    return to - start;
}

/* ----------------------------------------------------------------------------------------------------------------- sockets */

enum state { CONNECTING, SHAKING, OPEN, STALLED, GONE };

struct peer {
    int fd;
    enum state state;
    ns began;
    unsigned last_seq;
    size_t kept; /* bytes of an unfinished frame or head, in `rest` */
    unsigned char *rest;
};

/* What one process has of the sockets: those from `first` on. Only it writes here. */
struct part {
    pid_t pid;
    int first, sockets, is_settled;
    int started, under_way, open, failed, dropped, stalled;
    unsigned seq; /* the broadcast that `heard` counts */
    size_t heard, handshakes;
};

/* What all processes of the run share. */
static volatile struct {
    unsigned seq; /* the broadcast under way */
    ns fired_at;
    struct part parts[PROCESSES_MAX];
} *run;
static double *latencies_us, *handshakes_us; /* each part has its own stretch */

static volatile struct part *part;
static struct peer *peers; /* of this part */
static int queue, handshake_len;
static char handshake[2048];
static unsigned char bytes[READ_BYTES + 1];

static struct sockaddr_in server_address(void) {
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(options.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A socket on its way to the server. Several source addresses, since one has too few ports for tens of thousands. */
static int connect_one(int index) {
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

static void watch(int how, int fd, unsigned events, unsigned index) {
    struct epoll_event event = {.events = events, .data.u32 = index};
    epoll_ctl(queue, how, fd, &event);
}

static void keep(struct peer *peer, const unsigned char *from, size_t len) {
    unsigned char *rest = NULL;
    if (len) rest = memcpy(room_for(len, 1), from, len);
    free(peer->rest);
    peer->rest = rest;
    peer->kept = len;
}

static void lose(struct peer *peer) {
    if (peer->state == OPEN) part->open--, part->dropped++;
    else {
        int why = errno, error = 0;
        getsockopt(peer->fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof error});
        if (part->failed < 2) fprintf(stderr, "wsfan: lost before it was open, in state %d: %s, then %s\n", peer->state, strerror(why), strerror(error));
        part->failed++, part->under_way--;
    }
    close(peer->fd);
    keep(peer, NULL, 0);
    peer->state = GONE;
}

static void start_peer(void) {
    struct peer *peer = &peers[part->started];
    peer->began = now();
    peer->fd = connect_one(part->first + part->started);
    part->under_way++;
    if (peer->fd < 0) lose(peer);
    else watch(EPOLL_CTL_ADD, peer->fd, EPOLLIN | EPOLLOUT, part->started);
    part->started++;
}

/* One text frame: is it the broadcast under way, and is it the first of it here? */
static void hear_frame(struct peer *peer, const unsigned char *text, size_t len, ns at) {
    const unsigned char *found = memmem(text, len, options.seq_key, strlen(options.seq_key));
    if (!found) return;
    unsigned value = strtoul((const char *)found + strlen(options.seq_key), NULL, 10);
    if (value != run->seq || peer->last_seq == value) return;
    peer->last_seq = value;
    if (part->seq != value) part->heard = 0, part->seq = value;
    latencies_us[part->first + part->heard] = (at - run->fired_at) / 1e3;
    __atomic_store_n(&part->heard, part->heard + 1, __ATOMIC_RELEASE); /* after what it counts */
}

/* Gives a ping's payload back (RFC 6455 section 5.5.3), under a mask of zeros. */
static void answer_ping(struct peer *peer, const unsigned char *payload, size_t len) {
    unsigned char pong[131] = {0x8A, 0x80 | len};
    if (len > 125) return;
    memcpy(pong + 6, payload, len);
    (void)!send(peer->fd, pong, 6 + len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Whole frames out of what was read; keeps the rest. A close ends the peer. */
static void hear_frames(struct peer *peer, const unsigned char *from, size_t len, ns at) {
    size_t done = 0;
    while (len - done >= 2) {
        const unsigned char *frame = from + done;
        size_t head = 2, body = frame[1] & 127;
        if (body == 126) head = 4, body = len - done < 4 ? READ_BYTES : (size_t)frame[2] << 8 | frame[3];
        else if (body == 127) die("wsfan: a frame of more than 64 KiB");
        if (len - done < head + body) break;
        if ((frame[0] & 15) == 1) hear_frame(peer, frame + head, body, at);
        else if ((frame[0] & 15) == 9) answer_ping(peer, frame + head, body);
        else if ((frame[0] & 15) == 8) return lose(peer);
        done += head + body;
    }
    keep(peer, from + done, len - done);
}

static void finish_handshake(struct peer *peer, size_t len, ns at) {
    unsigned char *end = memmem(bytes, len, "\r\n\r\n", 4);
    if (!end) return keep(peer, bytes, len);
    *end = 0;
    if (strncmp((char *)bytes, "HTTP/1.1 101", 12) || !strcasestr((char *)bytes, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")) {
        if (part->failed < 2) fprintf(stderr, "wsfan: refused: %.200s\n", bytes);
        errno = 0;
        return lose(peer);
    }
    keep(peer, NULL, 0);
    part->under_way--;
    if ((peer - peers) % 100 < options.stall_pct) {
        watch(EPOLL_CTL_DEL, peer->fd, 0, 0);
        peer->state = STALLED;
        part->stalled++;
        return;
    }
    peer->state = OPEN;
    part->open++;
    handshakes_us[part->first + part->handshakes++] = (at - peer->began) / 1e3;
    size_t head = end + 4 - bytes;
    hear_frames(peer, bytes + head, len - head, at);
}

static void read_peer(struct peer *peer) {
    if (peer->kept) memcpy(bytes, peer->rest, peer->kept);
    ssize_t got = recv(peer->fd, bytes + peer->kept, READ_BYTES - peer->kept, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got == 0) errno = 0;
    if (got <= 0) return lose(peer);
    size_t len = peer->kept + got;
    bytes[len] = 0;
    if (peer->state == SHAKING) finish_handshake(peer, len, now());
    else hear_frames(peer, bytes, len, now());
}

static void shake_hands(struct peer *peer) {
    peer->state = SHAKING;
    if (send(peer->fd, handshake, handshake_len, MSG_NOSIGNAL) != handshake_len) return lose(peer);
    watch(EPOLL_CTL_MOD, peer->fd, EPOLLIN, peer - peers);
}

static void serve_peers(int wait_ms) {
    struct epoll_event events[EVENTS_MAX];
    int ready = epoll_wait(queue, events, EVENTS_MAX, wait_ms);
    for (int i = 0; i < ready; i++) {
        struct peer *peer = &peers[events[i].data.u32];
        if (peer->state == GONE) continue;
        if (peer->state != CONNECTING) read_peer(peer);
        else if (events[i].events & (EPOLLERR | EPOLLHUP)) lose(peer);
        else if (events[i].events & EPOLLOUT) shake_hands(peer);
    }
}

static void serve_for(int ms) {
    ns end = now() + ms * MS;
    for (ns at; (at = now()) < end;) serve_peers((end - at) / MS < 20 ? (end - at) / MS + 1 : 20);
}

/* Opens the sockets of a part, `window` at a time; gives up when nothing moves for the timeout. */
static void open_part(int index) {
    part = &run->parts[index];
    part->pid = getpid();
    part->first = (long)options.sockets * index / options.processes;
    part->sockets = (long)options.sockets * (index + 1) / options.processes - part->first;
    peers = room_for(part->sockets, sizeof *peers);
    queue = epoll_create1(EPOLL_CLOEXEC);
    ns moved_at = now();
    int moved = -1, window = (options.window + options.processes - 1) / options.processes;
    while (part->started < part->sockets || part->under_way > 0) {
        while (part->started < part->sockets && part->under_way < window) start_peer();
        serve_peers(100);
        int done = part->open + part->failed + part->stalled + part->dropped;
        if (done != moved) moved = done, moved_at = now();
        else if (now() - moved_at > options.timeout_ms * MS) break;
    }
    for (int i = 0; i < part->started; i++)
        if (peers[i].state == CONNECTING || peers[i].state == SHAKING) lose(&peers[i]);
    part->is_settled = 1;
}

/* All parts together. */
static struct part total(void) {
    struct part all = {0};
    for (int i = 0; i < options.processes; i++) {
        volatile struct part *one = &run->parts[i];
        all.is_settled += one->is_settled;
        all.open += one->open, all.failed += one->failed, all.stalled += one->stalled, all.dropped += one->dropped;
        all.handshakes += one->handshakes;
        if (one->seq == run->seq) all.heard += __atomic_load_n(&one->heard, __ATOMIC_ACQUIRE);
    }
    return all;
}

/* Opens all sockets, here or in processes of their own, which then serve them until this one ends. It has none then, so it sleeps where it would serve. */
static void open_all(void) {
    if (options.processes == 1) return open_part(0);
    for (int i = 0; i < options.processes; i++) {
        pid_t child = fork();
        if (child < 0) die("wsfan: fork: %s", strerror(errno));
        if (child) continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        open_part(i);
        for (;;) serve_peers(1000);
    }
    queue = epoll_create1(EPOLL_CLOEXEC);
    while (total().is_settled < options.processes) {
        serve_peers(5);
        if (waitpid(-1, NULL, WNOHANG) > 0) die("wsfan: a process has ended");
    }
}

/* The parts' values as one row, in a room that the next call uses anew. */
static double *gather(const double *values, int handshakes) {
    static double *row;
    size_t len = 0;
    if (!row) row = room_for(options.sockets, sizeof *row);
    for (int i = 0; i < options.processes; i++) {
        volatile struct part *one = &run->parts[i];
        size_t count = handshakes ? one->handshakes : one->seq == run->seq ? one->heard : 0;
        memcpy(row + len, values + one->first, count * sizeof *row);
        len += count;
    }
    return row;
}

/* CPU time of the client, all its processes together. */
static ns own_cpu(void) {
    ns sum = 0;
    clockid_t clock;
    for (int i = 0; i < options.processes; i++)
        if (!clock_getcpuclockid(run->parts[i].pid, &clock)) sum += read_clock(clock);
    return sum;
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

/* Throws away the answers to earlier triggers. False when the server has hung up. */
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
    int len = fill_in(body, options.body, "{SEQ}", run->seq);
    if (len < options.pad) { /* spaces before the last brace */
        memset(body + len - 1, ' ', options.pad - len);
        strcpy(body + options.pad - 1, "}");
        len = options.pad;
    }
    len = snprintf(request, sizeof request, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                   options.trigger_path, len, body);
    for (int attempt = 0; attempt < 3; attempt++) {
        if (trigger_fd < 0 || !drain_trigger()) open_trigger();
        run->fired_at = now();
        if (send(trigger_fd, request, len, MSG_NOSIGNAL) == len) return;
        open_trigger();
    }
    die("wsfan: the trigger cannot be sent");
}

/* One broadcast; returns when everybody who is left has heard it, or the timeout is over. */
static size_t broadcast(void) {
    run->seq++;
    size_t expected = total().open;
    fire();
    for (struct part all = total(); all.heard < (size_t)all.open && now() < run->fired_at + options.timeout_ms * MS; all = total()) serve_peers(5);
    return expected;
}

static void run_broadcasts(void) {
    double *last = room_for(BROADCASTS_MAX, sizeof *last), *p99 = room_for(BROADCASTS_MAX, sizeof *p99);
    size_t delivered = 0, expected = 0, times = 0;
    run->seq = 1000000;
    for (int i = 0; i < options.warm; i++) broadcast(), serve_for(options.gap_ms);
    ns own = own_cpu();
    struct sample before = sample_server();
    for (int i = 0; i < options.broadcasts; i++) {
        expected += broadcast();
        size_t heard = total().heard;
        delivered += heard;
        if (heard) {
            double *latencies = gather(latencies_us, 0);
            p99[times] = quantile(latencies, heard, 0.99) / 1e3;
            last[times++] = latencies[heard - 1] / 1e3;
        }
        serve_for(options.gap_ms);
    }
    struct sample after = sample_server();
    own = own_cpu() - own;
    double frames = delivered ? delivered : 1;
    printf(",\"expected\":%zu,\"delivered\":%zu,\"cpu_us_per_frame\":%.4f,\"client_us_per_frame\":%.4f", expected, delivered,
           (after.cpu - before.cpu) / 1e3 / frames, own / 1e3 / frames);
    printf(",\"last_ms_p50\":%.3f,\"last_ms_p99\":%.3f,\"p99_ms_p50\":%.3f,\"rss_after\":%zu", quantile(last, times, 0.5), quantile(last, times, 0.99),
           quantile(p99, times, 0.5), after.rss);
}

static void run_sockets(int fans) {
    run = shared_room_for(1, sizeof *run);
    latencies_us = shared_room_for(options.sockets, sizeof *latencies_us);
    handshakes_us = shared_room_for(options.sockets, sizeof *handshakes_us);
    handshake_len = snprintf(handshake, sizeof handshake,
                             "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nOrigin: http://localhost\r\n"
                             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", options.socket_path);
    struct sample empty = sample_server();
    ns began = now();
    open_all();
    double connect_ms = (now() - began) / 1e6;
    struct sample opened = sample_server();
    serve_for(options.settle_ms);
    struct sample idle = sample_server();
    struct part all = total();
    double shaken = all.handshakes ? all.handshakes : 1, *handshakes = gather(handshakes_us, 1);
    printf("{\"open\":%d,\"stalled\":%d,\"failed\":%d,\"connect_ms\":%.1f,\"handshake_ms_p50\":%.3f,\"handshake_ms_p99\":%.3f,\"cpu_us_per_handshake\":%.3f",
           all.open, all.stalled, all.failed, connect_ms, quantile(handshakes, all.handshakes, 0.5) / 1e3,
           quantile(handshakes, all.handshakes, 0.99) / 1e3, (opened.cpu - empty.cpu) / 1e3 / shaken);
    printf(",\"rss_empty\":%zu,\"rss_idle\":%zu,\"rss_per_socket\":%.1f", empty.rss, idle.rss, ((double)idle.rss - empty.rss) / shaken);
    if (fans) run_broadcasts();
    else serve_for(options.hold_s * 1000);
    printf(",\"dropped\":%d}\n", total().dropped);
}

/* ------------------------------------------------------------------------------------------------------------ registrations */

struct caller {
    int fd, asked;
    ns began;
    size_t got, head_len;
    long need; /* bytes of the whole answer; 0: its head is not there yet, -1: until the connection ends */
    char answer[4096];
};

static struct caller *callers;
static long asked, answered, bad, twice;
static unsigned char *given;

static void call(int index) {
    struct caller *caller = &callers[index];
    caller->fd = connect_one(index);
    if (caller->fd < 0) die("wsfan: connect: %s", strerror(errno));
    caller->began = now();
    caller->asked = 0;
    watch(EPOLL_CTL_ADD, caller->fd, EPOLLIN | EPOLLOUT, index);
}

static void ask(struct caller *caller) {
    static char body[REQUEST_BYTES], request[REQUEST_BYTES + 1024];
    int len = fill_in(body, options.body, "{N}", asked);
    len = snprintf(request, sizeof request, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s",
                   options.register_path, options.new_connections ? "Connection: close\r\n" : "", len, body);
    if (!options.new_connections) caller->began = now(); /* otherwise it began with the connection */
    caller->asked = 1, caller->got = 0, caller->need = 0;
    asked++;
    if (send(caller->fd, request, len, MSG_NOSIGNAL) != len) bad++;
}

/* How long the answer is, once its head is whole. */
static void measure_answer(struct caller *caller) {
    char *end = strstr(caller->answer, "\r\n\r\n");
    if (!end) return;
    caller->head_len = end + 4 - caller->answer;
    char *length = strcasestr(caller->answer, "\r\ncontent-length:");
    caller->need = length && length < end ? (long)caller->head_len + atol(length + 17) : -1;
}

static void check_answer(struct caller *caller) {
    if (strncmp(caller->answer, "HTTP/1.1 20", 11)) {
        if (bad++ < 2) fprintf(stderr, "wsfan: refused: %.300s\n", caller->answer);
        return;
    }
    char *number = strstr(caller->answer + caller->head_len, options.number_key);
    long value = number ? strtol(number + strlen(options.number_key), NULL, 10) : -1;
    if (value < 0 || value >= NUMBERS_MAX) bad++;
    else if (given[value]++) twice++;
}

/* Reads on; true when the answer is whole. */
static int listen_to(struct caller *caller, int *ended) {
    ssize_t got = recv(caller->fd, caller->answer + caller->got, sizeof caller->answer - 1 - caller->got, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return 0;
    *ended = got <= 0;
    if (*ended) return caller->need == -1;
    caller->got += got;
    caller->answer[caller->got] = 0;
    if (!caller->need) measure_answer(caller);
    return caller->need > 0 && caller->got >= (size_t)caller->need;
}

static void serve_caller(int index, unsigned ready) {
    struct caller *caller = &callers[index];
    int ended = 0;
    if (!caller->asked) {
        if (ready & (EPOLLERR | EPOLLHUP)) die("wsfan: a connection was refused");
        watch(EPOLL_CTL_MOD, caller->fd, EPOLLIN, index);
        if (asked < options.requests) ask(caller);
        return;
    }
    int whole = listen_to(caller, &ended);
    if (!whole && !ended) return;
    if (whole) {
        latencies_us[answered++] = (now() - caller->began) / 1e3;
        check_answer(caller);
    } else bad++, answered++;
    if (options.new_connections || ended) {
        close(caller->fd);
        if (asked < options.requests) call(index);
    } else if (asked < options.requests) ask(caller);
}

static void run_http(void) {
    latencies_us = room_for(options.requests + options.requests_at_once, sizeof *latencies_us);
    callers = room_for(options.requests_at_once, sizeof *callers);
    given = room_for(NUMBERS_MAX, 1);
    queue = epoll_create1(EPOLL_CLOEXEC);
    struct sample before = sample_server();
    ns began = now(), moved_at = began;
    for (int i = 0; i < options.requests_at_once; i++) call(i);
    while (answered < options.requests && now() - moved_at < options.timeout_ms * MS) {
        struct epoll_event events[EVENTS_MAX];
        int ready = epoll_wait(queue, events, EVENTS_MAX, 1000);
        if (ready > 0) moved_at = now();
        for (int i = 0; i < ready; i++) serve_caller(events[i].data.u32, events[i].events);
    }
    double took_ms = (now() - began) / 1e6, all = answered ? answered : 1;
    struct sample after = sample_server();
    printf("{\"answered\":%ld,\"bad\":%ld,\"twice\":%ld,\"per_s\":%.0f,\"cpu_us_per_request\":%.3f,\"ms_p50\":%.3f,\"ms_p99\":%.3f,\"rss_after\":%zu}\n",
           answered, bad, twice, answered / took_ms * 1e3, (after.cpu - before.cpu) / 1e3 / all, quantile(latencies_us, answered, 0.5) / 1e3,
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
    while ((option = getopt_long(argc, argv, "P:p:c:n:t:w:T:b:g:d:k:R:", names, NULL)) != -1) switch (option) {
        case 'P': options.port = atoi(optarg); break;
        case 'p': options.pid = atoi(optarg); break;
        case 'c': options.cpu = atoi(optarg); break;
        case 'n': options.sockets = atoi(optarg); break;
        case 't': options.processes = atoi(optarg); break;
        case 'w': options.window = atoi(optarg); break;
        case 'T': options.hold_s = atoi(optarg); break;
        case 'b': options.broadcasts = atoi(optarg); break;
        case 'g': options.gap_ms = atoi(optarg); break;
        case 'd': options.body = optarg; break;
        case 'k': options.requests_at_once = atoi(optarg); break;
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
    if (options.processes < 1 || options.processes > PROCESSES_MAX) die("wsfan: 1 to %d processes", PROCESSES_MAX);
    if (options.broadcasts > BROADCASTS_MAX) die("wsfan: at most %d broadcasts", BROADCASTS_MAX);
    if (options.pad >= REQUEST_BYTES || (options.body && strlen(options.body) > REQUEST_BYTES / 2)) die("wsfan: the body is too long");
    if (!options.body) options.body = "{}";
}

int main(int argc, char **argv) {
    if (argc < 2) die("usage: wsfan fan|hold|http [options]; they stand at the head of wsfan.c");
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
