/*
 * floor: the cheapest WebSocket fan-out server that plain epoll and send(2) allow, as the baseline of every ratio. It is no
 * product: it keeps one byte per connection, trusts every request to arrive in one piece, and drops the rest of a frame that
 * a full socket buffer cuts short. Its cost is therefore the kernel's cost.
 *
 *   GET  any path, with Upgrade   101, then a socket whose messages are ignored
 *   POST /trigger                 sends the body as one text frame to every socket
 *   POST any other path           {"number":N,"token":"..."}: a fixed answer with a rising number; nothing is parsed or kept
 *
 *   -p PORT      the port to listen on (9000)
 *   -t THREADS   event loops, each with its own listening socket (SO_REUSEPORT) and, from the second on, its own table of
 *                descriptors, which saves the kernel the reference counts of a shared one (1)
 *   -s BYTES     SO_SNDBUF of the sockets (the system's default)
 *   -u ENTRIES   sends by io_uring, so many per system call, a power of two: one issuer, deferred task work, and no
 *                completion for a send that succeeded (0: send(2))
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define THREADS_MAX 64
#define DESCRIPTORS_MAX 65536
#define EVENTS_MAX 256
#define BODY_MAX 65535

enum state { FREE, LISTENER, HTTP, SOCKET, WAKEUP };

/* The rings that the kernel and a loop share. */
struct uring {
    int fd;
    unsigned mask, *tail, *completed_head, *completed_tail;
    struct io_uring_sqe *entries;
};

/* One event loop and the connections that it accepted. */
struct loop {
    int index, epoll, wakeup, highest;
    struct uring uring;
    unsigned char state[DESCRIPTORS_MAX]; /* by descriptor: one byte per connection */
};

static struct loop *loops[THREADS_MAX];
static int port = 9000, thread_count = 1, send_buffer = 0, uring_entries = 0;

/* The frame that is being sent. The client triggers the next one only after every socket has this one. */
static unsigned char frame[BODY_MAX + 4];
static size_t frame_len;
static unsigned long long number;
static __thread char buffer[1 << 16];

/* SHA-1 of a short text (FIPS 180-4); only the handshake uses it. */
static uint32_t rotate(uint32_t x, int n) { return x << n | x >> (32 - n); }

static void sha1(const unsigned char *text, size_t len, unsigned char digest[20]) {
    uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    unsigned char padded[128] = {0};
    size_t blocks = len + 9 > 64 ? 2 : 1;
    memcpy(padded, text, len);
    padded[len] = 0x80;
    for (int i = 0; i < 8; i++) padded[blocks * 64 - 1 - i] = (uint64_t)len * 8 >> (8 * i);
    for (size_t block = 0; block < blocks; block++) {
        uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
        for (int i = 0; i < 16; i++) {
            const unsigned char *p = padded + block * 64 + 4 * i;
            w[i] = (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
        }
        for (int i = 16; i < 80; i++) w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        for (int i = 0; i < 80; i++) {
            uint32_t f, k;
            if (i < 20) f = (b & c) | (~b & d), k = 0x5A827999;
            else if (i < 40) f = b ^ c ^ d, k = 0x6ED9EBA1;
            else if (i < 60) f = (b & c) | (b & d) | (c & d), k = 0x8F1BBCDC;
            else f = b ^ c ^ d, k = 0xCA62C1D6;
            uint32_t next = rotate(a, 5) + f + e + k + w[i];
            e = d, d = c, c = rotate(b, 30), b = a, a = next;
        }
        h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
    }
    for (int i = 0; i < 20; i++) digest[i] = h[i / 4] >> (24 - 8 * (i % 4));
}

static void base64(const unsigned char *bytes, int len, char *text) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int i = 0; i < len; i += 3) {
        uint32_t v = bytes[i] << 16 | (i + 1 < len ? bytes[i + 1] << 8 : 0) | (i + 2 < len ? bytes[i + 2] : 0);
        *text++ = letters[v >> 18];
        *text++ = letters[v >> 12 & 63];
        *text++ = i + 1 < len ? letters[v >> 6 & 63] : '=';
        *text++ = i + 2 < len ? letters[v & 63] : '=';
    }
    *text = 0;
}

static void watch(struct loop *loop, int fd, enum state state) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    loop->state[fd] = state;
    if (fd > loop->highest) loop->highest = fd;
    epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event);
}

static void close_connection(struct loop *loop, int fd) {
    loop->state[fd] = FREE;
    close(fd);
}

static void respond(int fd, const char *extra_header, const char *body) {
    char text[600];
    int len = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n%s",
                       extra_header, strlen(body), body);
    (void)!send(fd, text, len, MSG_NOSIGNAL);
}

static void open_uring(struct uring *uring) {
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    uring->fd = syscall(SYS_io_uring_setup, uring_entries, &params);
    if (uring->fd < 0) {
        perror("floor: io_uring_setup");
        exit(1);
    }
    /* One mapping holds both rings since Linux 5.4. */
    size_t len = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
    unsigned char *rings = mmap(0, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, uring->fd, IORING_OFF_SQ_RING);
    uring->entries = mmap(0, params.sq_entries * sizeof *uring->entries, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                          uring->fd, IORING_OFF_SQES);
    uring->mask = *(unsigned *)(rings + params.sq_off.ring_mask);
    uring->tail = (unsigned *)(rings + params.sq_off.tail);
    uring->completed_head = (unsigned *)(rings + params.cq_off.head);
    uring->completed_tail = (unsigned *)(rings + params.cq_off.tail);
    unsigned *order = (unsigned *)(rings + params.sq_off.array);
    for (unsigned i = 0; i < params.sq_entries; i++) order[i] = i;
}

/* Submits what was added, and forgets the failures: the client would count those frames as missing. */
static void submit(struct uring *uring, unsigned count) {
    if (count && syscall(SYS_io_uring_enter, uring->fd, count, 0, IORING_ENTER_GETEVENTS, NULL, 0) < 0) perror("floor: io_uring_enter");
    __atomic_store_n(uring->completed_head, __atomic_load_n(uring->completed_tail, __ATOMIC_ACQUIRE), __ATOMIC_RELEASE);
}

static void submit_to_all(struct loop *loop) {
    struct uring *uring = &loop->uring;
    unsigned count = 0;
    for (int fd = 0; fd <= loop->highest; fd++) {
        if (loop->state[fd] != SOCKET) continue;
        uring->entries[*uring->tail & uring->mask] = (struct io_uring_sqe){
            .opcode = IORING_OP_SEND, .flags = IOSQE_CQE_SKIP_SUCCESS, .fd = fd, .addr = (uintptr_t)frame, .len = frame_len,
            .msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL,
        };
        __atomic_store_n(uring->tail, *uring->tail + 1, __ATOMIC_RELEASE);
        if (++count > uring->mask) submit(uring, count), count = 0;
    }
    submit(uring, count);
}

/* The hot path. A short send is not completed: the client would count the frame as missing. */
static void send_to_all(struct loop *loop) {
    if (uring_entries) return submit_to_all(loop);
    for (int fd = 0; fd <= loop->highest; fd++)
        if (loop->state[fd] == SOCKET) (void)!send(fd, frame, frame_len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void broadcast(struct loop *loop, const char *body, size_t len) {
    size_t header_len = 0;
    uint64_t one = 1;
    frame[header_len++] = 0x81; /* final, text (RFC 6455 section 5.2) */
    if (len < 126) frame[header_len++] = len;
    else frame[header_len++] = 126, frame[header_len++] = len >> 8, frame[header_len++] = len;
    memcpy(frame + header_len, body, len);
    frame_len = header_len + len;
    for (int i = 0; i < thread_count; i++)
        if (loops[i] != loop) (void)!write(loops[i]->wakeup, &one, sizeof one);
    send_to_all(loop);
}

static void upgrade(struct loop *loop, int fd) {
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char *key = strcasestr(buffer, "sec-websocket-key: ");
    if (!key) return respond(fd, "", "{}");
    key += strlen("sec-websocket-key: ");
    char keyed[128], accept[40], text[256];
    unsigned char digest[20];
    size_t len = strcspn(key, "\r");
    if (len > 64) len = 64;
    memcpy(keyed, key, len);
    memcpy(keyed + len, guid, sizeof guid - 1);
    sha1((unsigned char *)keyed, len + sizeof guid - 1, digest);
    base64(digest, sizeof digest, accept);
    int text_len = snprintf(text, sizeof text,
                            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            "Sec-WebSocket-Accept: %s\r\n\r\n", accept);
    (void)!send(fd, text, text_len, MSG_NOSIGNAL);
    loop->state[fd] = SOCKET;
}

static void register_participant(struct loop *loop, int fd) {
    static const char digits[] = "0123456789abcdef";
    unsigned char random[16];
    char token[33] = "", body[160];
    (void)!getrandom(random, sizeof random, 0);
    for (int i = 0; i < 32; i++) token[i] = digits[random[i / 2] >> (i % 2 ? 0 : 4) & 15];
    snprintf(body, sizeof body, "{\"number\":%llu,\"token\":\"%s\"}", __atomic_add_fetch(&number, 1, __ATOMIC_RELAXED), token);
    int is_last = strcasestr(buffer, "connection: close") != NULL;
    respond(fd, is_last ? "Connection: close\r\n" : "", body);
    if (is_last) close_connection(loop, fd);
}

static void read_connection(struct loop *loop, int fd) {
    ssize_t len = recv(fd, buffer, sizeof buffer - 1, MSG_DONTWAIT);
    if (len < 0 && errno == EAGAIN) return;
    if (len <= 0) return close_connection(loop, fd);
    if (loop->state[fd] == SOCKET) return;
    buffer[len] = 0;
    char *header_end = strstr(buffer, "\r\n\r\n");
    if (!header_end) return;
    if (!memcmp(buffer, "GET ", 4)) upgrade(loop, fd);
    else if (!memcmp(buffer, "POST /trigger", 13)) {
        char *body = header_end + 4;
        broadcast(loop, body, len - (body - buffer));
        respond(fd, "", "{\"ok\":true}");
    } else register_participant(loop, fd);
}

static int listen_on_port(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (thread_count > 1) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (send_buffer) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096)) {
        perror("floor: listen");
        exit(1);
    }
    return fd;
}

static void *run(void *argument) {
    struct loop *loop = argument;
    if (loop->index && unshare(CLONE_FILES)) perror("floor: unshare");
    if (uring_entries) open_uring(&loop->uring);
    loop->epoll = epoll_create1(0);
    watch(loop, loop->wakeup, WAKEUP);
    watch(loop, listen_on_port(), LISTENER);
    struct epoll_event events[EVENTS_MAX];
    for (;;) {
        int count = epoll_wait(loop->epoll, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd, accepted;
            uint64_t wakeups;
            switch (loop->state[fd]) {
            case LISTENER:
                while ((accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) watch(loop, accepted, HTTP);
                break;
            case WAKEUP:
                (void)!read(fd, &wakeups, sizeof wakeups);
                send_to_all(loop);
                break;
            default:
                read_connection(loop, fd);
            }
        }
    }
    return NULL;
}

int main(int argc, char **argv) {
    int option;
    while ((option = getopt(argc, argv, "p:t:s:u:")) != -1) {
        if (option == 'p') port = atoi(optarg);
        else if (option == 't') thread_count = atoi(optarg);
        else if (option == 's') send_buffer = atoi(optarg);
        else if (option == 'u') uring_entries = atoi(optarg);
        else return 64;
    }
    if (thread_count < 1 || thread_count > THREADS_MAX) return 64;
    signal(SIGPIPE, SIG_IGN);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    for (int i = 0; i < thread_count; i++) {
        loops[i] = calloc(1, sizeof *loops[i]);
        loops[i]->index = i;
        loops[i]->wakeup = eventfd(0, EFD_NONBLOCK);
    }
    for (int i = 1; i < thread_count; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, run, loops[i]);
    }
    run(loops[0]);
}
