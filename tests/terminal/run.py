"""Runs a command in a terminal of its own, and prints all that it wrote there: run.py COLUMNS COMMAND ARGUMENT…"""
import fcntl
import os
import pty
import struct
import sys
import termios

columns, *command = sys.argv[1:]
child, terminal = pty.fork()
if child == 0:
    fcntl.ioctl(sys.stdout.fileno(), termios.TIOCSWINSZ, struct.pack("4H", 24, int(columns), 0, 0))
    os.execv(command[0], command)
while True:
    try:
        written = os.read(terminal, 1 << 16)
    except OSError:  # Linux's way to say that nobody writes any more.
        break
    if not written:
        break
    sys.stdout.buffer.write(written)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
