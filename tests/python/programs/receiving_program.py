"""Receives a block's descriptor over the Unix socket whose number is its argument, and writes into the block."""

import os
import socket
import sys

import vcsm

with socket.socket(fileno=int(sys.argv[1])) as connection:
    message, descriptors, _, _ = socket.recv_fds(connection, 100, 1)
    name, size = message.decode().split()
    with vcsm.SharedMemory.from_dmabuf(descriptors[0], name, size=int(size)) as block:
        os.close(descriptors[0])
        assert (block.name, block.size) == (name, int(size))
        assert block.copy_to() == b"to the other"
        block.copy_from(b"and back")
    connection.sendall(b"done")
