"""Is the GPU: talks to a program's VideoCore over VCSM_SIM_CONTROL while the program runs."""
import json
import os
import socket
import subprocess
import sys


def main(program):
    path = os.environ["VCSM_SIM_CONTROL"]
    child = subprocess.Popen([program, "hold", "1000"], stdout=subprocess.PIPE, text=True)
    handle = child.stdout.readline().split()[1]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        stream = connection.makefile("rw")

        def ask(command):
            stream.write(command + "\n")
            stream.flush()
            return json.loads(stream.readline())

        print("read", bytes.fromhex(ask(f"read {handle} 5 11")["data"]).decode())
        print("write", ask(f"write {handle} 0 {b'by the GPU'.hex()}00"))
        print("list", [(b["name"], b["bytes"], b["held"], b["allocated"]) for b in ask("list")["blocks"]])
        print("hold", ask(f"hold {handle}"))
        print(child.stdout.readline().strip())
        child.wait()
        print("held", [(b["held"], b["allocated"]) for b in ask("list")["blocks"]])
        print("read", bytes.fromhex(ask(f"read {handle} 0 10")["data"]).decode())
        print("release", ask(f"release {handle}"), ask("list")["blocks"])
        for command in (f"read {handle} 0 1", "read", "nonsense", "read x 0 1", "release 7", "write 1 0 abc", ""):
            answer = ask(command)
            print(repr(command), answer["ok"], answer["errno"], bool(answer["error"]))


sys.exit(main(sys.argv[1]))
