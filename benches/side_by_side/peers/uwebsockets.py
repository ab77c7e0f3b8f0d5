"""The bench's peer on uWebSockets through socketify; it uses uWebSockets' own topics. Runs as `python uwebsockets.py PORT`."""

import itertools
import sys

from socketify import App, CompressOptions, OpCode

numbers = itertools.count(1)
app = App()


async def trigger(answer, _):
    app.publish("all", await answer.get_text(), OpCode.TEXT)
    answer.end('{"ok":true}')


async def register(answer, _):
    await answer.get_json()
    answer.write_header("Content-Type", "application/json")
    answer.end('{"number":%d}' % next(numbers))


options = {"compression": CompressOptions.DISABLED, "max_payload_length": 4096, "idle_timeout": 0}
app.ws("/ws", {**options, "open": lambda socket: socket.subscribe("all")})
app.post("/trigger", trigger)
app.post("/register", register)
app.listen(int(sys.argv[1]), lambda _: None)
app.run()
