// The bench's peer on Bun, whose WebSockets are uWebSockets' C++; it uses Bun's own topics. Runs as `bun bun.js PORT`.
let lastNumber = 0;
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  idleTimeout: 0,
  async fetch(request, self) {
    switch (new URL(request.url).pathname) {
      case "/ws":
        return self.upgrade(request) ? undefined : new Response("refused", { status: 400 });
      case "/trigger":
        self.publish("all", await request.text());
        return Response.json({ ok: true });
      case "/register":
        await request.json();
        return Response.json({ number: ++lastNumber });
      default:
        return new Response("refused", { status: 404 });
    }
  },
  websocket: {
    open(socket) {
      socket.subscribe("all");
    },
    message() {},
    idleTimeout: 0,
    perMessageDeflate: false,
  },
});
process.on("SIGTERM", () => server.stop(true) ?? process.exit(0));
