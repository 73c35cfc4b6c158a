"""A file system with the manners of Proxmox's /etc/pve, for tests of who writes there: pmxcfs.py MOUNTPOINT CONTROL

Spoken in the kernel's own protocol (include/uapi/linux/fuse.h). What it holds is in memory. As the real one:
files of at most 1 MiB, root:www-data 0640; mode and owner are as they are (EPERM, unless they are asked to be what they are);
no symlinks and hard links; no O_TMPFILE; fsync is not known; rename replaces. CONTROL is a directory: a file `readonly` in it
is a lost quorum, `full` a full database, `stall` holds every rename until it is removed, and then fails it; `log` is written: what was
asked and refused.
"""

import errno
import os
import stat
import struct
import subprocess
import sys
import time

MOST = 1 << 20
WWW_DATA = 33
NOT_ANSWERED = (2, 42, 36)  # FORGET, BATCH_FORGET, INTERRUPT


class Node:
    def __init__(self, ino, directory):
        self.ino, self.directory = ino, directory
        self.children, self.data = {}, bytearray()
        self.time = int(time.time())

    def attr(self):
        mode = stat.S_IFDIR | 0o755 if self.directory else stat.S_IFREG | 0o640
        times = [self.time] * 3
        return struct.pack("<6Q10I", self.ino, len(self.data), 0, *times, 0, 0, 0, mode, 1, 0, WWW_DATA, 0, 4096, 0)


class Refused(Exception):
    pass


class Files:
    def __init__(self, control):
        self.control = control
        self.nodes = {1: Node(1, True)}
        self.next = 2

    def told(self, name):
        return os.path.exists(os.path.join(self.control, name))

    def changes(self):
        if self.told("readonly"):
            raise Refused(errno.EACCES)

    def child(self, parent, name):
        ino = self.nodes[parent].children.get(name)
        if ino is None:
            raise Refused(errno.ENOENT)
        return self.nodes[ino]

    def make(self, parent, name, directory):
        self.changes()
        if self.told("full"):
            raise Refused(errno.ENOSPC)
        if name in self.nodes[parent].children:
            raise Refused(errno.EEXIST)
        node = Node(self.next, directory)
        self.next += 1
        self.nodes[node.ino] = node
        self.nodes[parent].children[name] = node.ino
        return node

    def entry(self, node):
        return struct.pack("<4Q2I", node.ino, 0, 0, 0, 0, 0) + node.attr()

    def setattr(self, ino, body):
        valid, _, _, size, _, _, modified = struct.unpack_from("<IIQQQQQ", body)
        mode, _, uid, gid = struct.unpack_from("<4I", body, 68)
        node = self.nodes[ino]
        if valid & 1 and mode & 0o7777 != 0o640:
            raise Refused(errno.EPERM)
        if valid & 2 and uid != 0 or valid & 4 and gid != WWW_DATA:
            raise Refused(errno.EPERM)
        if valid & 8:
            self.changes()
            if size > MOST:
                raise Refused(errno.EFBIG)
            node.data = node.data[:size].ljust(size, b"\0")
        if valid & 32:
            node.time = modified
        return struct.pack("<QII", 0, 0, 0) + node.attr()

    def write(self, ino, body):
        self.changes()
        _, offset, size = struct.unpack_from("<QQI", body)
        node = self.nodes[ino]
        if offset + size > MOST:
            raise Refused(errno.EFBIG)
        if self.told("full"):
            raise Refused(errno.ENOSPC)
        node.data = node.data.ljust(offset, b"\0")
        node.data[offset : offset + size] = body[40 : 40 + size]
        node.time = int(time.time())
        return struct.pack("<II", size, 0)

    def rename(self, parent, target, names):
        self.changes()
        stalled = self.told("stall")
        while self.told("stall"):
            open(os.path.join(self.control, "stalled"), "w").close()
            time.sleep(0.02)
        if stalled:
            raise Refused(errno.EIO)
        old, new = names.split(b"\0")[:2]
        node = self.child(parent, old)
        del self.nodes[parent].children[old]
        self.nodes[target].children[new] = node.ino
        return b""

    def remove(self, parent, name, directory):
        self.changes()
        node = self.child(parent, name)
        if node.directory != directory:
            raise Refused(errno.EISDIR if node.directory else errno.ENOTDIR)
        if node.children:
            raise Refused(errno.ENOTEMPTY)
        del self.nodes[parent].children[name]
        return b""

    def list(self, ino, body):
        _, offset, size = struct.unpack_from("<QQI", body)
        names = sorted(self.nodes[ino].children.items())
        out = b""
        for at, (name, child) in list(enumerate(names))[offset:]:
            kind = stat.S_IFDIR if self.nodes[child].directory else stat.S_IFREG
            entry = struct.pack("<QQII", child, at + 1, len(name), kind >> 12) + name
            entry = entry.ljust((len(entry) + 7) // 8 * 8, b"\0")
            if len(out) + len(entry) > size:
                break
            out += entry
        return out

    def answer(self, opcode, ino, body):
        name = body.rstrip(b"\0")
        if opcode == 26:  # INIT
            return struct.pack("<IIIIHHIIHHI7I", 7, 31, 1 << 17, 0x20, 12, 9, 1 << 17, 1, 32, 0, 0, *[0] * 7)
        if opcode == 1:  # LOOKUP
            return self.entry(self.child(ino, name))
        if opcode == 3:  # GETATTR
            return struct.pack("<QII", 0, 0, 0) + self.nodes[ino].attr()
        if opcode == 4:
            return self.setattr(ino, body)
        if opcode == 9:  # MKDIR
            return self.entry(self.make(ino, body[8:].rstrip(b"\0"), True))
        if opcode == 35:  # CREATE
            return self.entry(self.make(ino, body[16:].rstrip(b"\0"), False)) + struct.pack("<QII", 0, 0, 0)
        if opcode in (10, 11):  # UNLINK, RMDIR
            return self.remove(ino, name, opcode == 11)
        if opcode == 12:
            return self.rename(ino, struct.unpack_from("<Q", body)[0], body[8:])
        if opcode in (14, 27):  # OPEN, OPENDIR
            if opcode == 14 and struct.unpack_from("<I", body)[0] & os.O_ACCMODE != os.O_RDONLY:
                self.changes()
            return struct.pack("<QII", 0, 0, 0)
        if opcode == 15:  # READ
            _, offset, size = struct.unpack_from("<QQI", body)
            return bytes(self.nodes[ino].data[offset : offset + size])
        if opcode == 16:
            return self.write(ino, body)
        if opcode == 17:  # STATFS
            return struct.pack("<5Q4I6I", 32768, 32000, 32000, 256000, 255000, 4096, 255, 4096, 0, *[0] * 6)
        if opcode == 28:
            return self.list(ino, body)
        if opcode in (18, 25, 29):  # RELEASE, FLUSH, RELEASEDIR
            return b""
        # Symlinks, links, O_TMPFILE, fsync, extended attributes, ...
        raise Refused(errno.ENOSYS)


def main(mountpoint, control):
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
    mount = ["mount", "-i", "-t", "fuse", "-o", options, "pmxcfs", mountpoint]
    subprocess.run(mount, check=True, pass_fds=(device,))
    files = Files(control)
    log = open(os.path.join(control, "log"), "w", buffering=1)
    while True:
        try:
            request = os.read(device, (1 << 17) + 4096)
        except OSError as error:
            if error.errno == errno.ENODEV:
                return
            raise
        _, opcode, unique, ino = struct.unpack_from("<IIQQ", request)
        if opcode in NOT_ANSWERED:
            continue
        try:
            answer, error = files.answer(opcode, ino, request[40:]), 0
        except Refused as refused:
            answer, error = b"", refused.args[0]
            if error != errno.ENOENT:
                log.write(f"{opcode} {errno.errorcode[error]}\n")
        os.write(device, struct.pack("<IiQ", 16 + len(answer), -error, unique) + answer)


main(*sys.argv[1:])
