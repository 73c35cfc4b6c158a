"""A `qm guest exec` that does what Proxmox's does: `qm.py SOCKETS guest exec ID [options] -- PROGRAM...`.

Asks the guest agent anew for each request, shows every byte of output as the character of its number, and exits with 0
whatever became of the program. It looks at a program every 50 ms, Proxmox's every second.
"""

import base64
import json
import os
import random
import socket
import sys
import time


def die(text):
    print(text, file=sys.stderr)
    sys.exit(255)


def ask(path, command, arguments):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(3)
        try:
            connection.connect(path)
            stream = connection.makefile("rwb")
            number = random.getrandbits(31)
            sync = {"execute": "guest-sync-delimited", "arguments": {"id": number}}
            stream.write(b"\xff" + json.dumps(sync).encode() + b"\n")
            stream.flush()
            while json.loads(stream.readline().rpartition(b"\xff")[2]) != {"return": number}:
                pass
            stream.write(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
            stream.flush()
            answer = json.loads(stream.readline())
        except OSError:
            die("QEMU guest agent is not running")
    if "error" in answer:
        die("Agent error: " + answer["error"]["desc"])
    return answer["return"]


sockets, guest, execute, id, *words = sys.argv[1:]
assert (guest, execute) == ("guest", "exec"), sys.argv
options = {"--timeout": "30", "--pass-stdin": "0"}
while words and words[0] != "--":
    option, value, *words = words
    assert option in options, option
    options[option] = value
program = words[1:]
if os.environ.get("LC_ALL") != "C.UTF-8":
    program = [word.encode("ascii", "replace").decode() for word in program]
path = os.path.join(sockets, id + ".qga")
if not os.path.lexists(path):
    die("No QEMU guest agent configured")
if not os.path.exists(path):
    die(f"VM {id} is not running")

begin = {"path": program[0], "arg": program[1:], "capture-output": True}
if options["--pass-stdin"] == "1":
    data = sys.stdin.buffer.read()
    if len(data) > 1 << 20:
        die("'input-data' (STDIN) is limited to 1 MiB, aborting")
    begin["input-data"] = base64.b64encode(data).decode()
pid = ask(path, "guest-exec", begin)["pid"]
until = time.time() + int(options["--timeout"])
while not (status := ask(path, "guest-exec-status", {"pid": pid}))["exited"]:
    if options["--timeout"] != "0" and time.time() > until:
        print("timeout reached, returning pid", file=sys.stderr)
        print(json.dumps({"pid": pid}, indent=3))
        sys.exit(0)
    time.sleep(0.05)
shown = {"exited": 1}
for key in ("exitcode", "signal"):
    if key in status:
        shown[key] = status[key]
for stream in ("out", "err"):
    if data := base64.b64decode(status.get(f"{stream}-data", "")):
        shown[f"{stream}-data"] = data.decode("latin-1")
    if status.get(f"{stream}-truncated"):
        shown[f"{stream}-truncated"] = 1
print(json.dumps(shown, indent=3, sort_keys=True))
