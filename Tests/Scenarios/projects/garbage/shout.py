# SPDX-License-Identifier: Apache-2.0
#
# Says what no client and no controller would, at the sockets of a project that is up:
#
#   shout.py CONTROL CONTROLLER     CONTROL: its control socket; CONTROLLER: the controller's pid, whose own end of the
#                                   socket to the keeper is borrowed (pidfd_getfd(2)) and spoken into
import array, ctypes, os, random, socket, struct, sys

random.seed(5)
control, controller = sys.argv[1], int(sys.argv[2])
null = os.open("/dev/null", os.O_RDONLY)


def rights(count):
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [null] * count))] if count else []


def frame(payload, tag=1, carried=0, length=None):
    return struct.pack("<II", len(payload) if length is None else length, tag | carried << 8) + payload


request = b'{"version":1,"request":{"status":{}},"blobs":%d}'
shouts = [
    (b"", 0), (b"\0", 0), (b"GET / HTTP/1.1\r\n\r\n", 0), (b"\xff" * 7, 0), (b"\xff" * 8, 0), (b"\0" * 8, 0),
    (frame(b"", 9), 0), (frame(b"", 0), 0), (frame(b"{}"), 0), (frame(b"[1,"), 0), (frame(b"\xff\xfe{"), 0),
    (frame(b"[" * 100000), 0), (frame(b'{"version":99,"request":{"status":{}},"blobs":0}'), 0),
    (frame(b'{"version":1,"request":{"nothing":{}},"blobs":0}'), 0), (frame(request % -1), 0),
    (frame(b'{"version":1,"request":{"up":{"_0":{}}},"blobs":3}') + frame(b"x", 2), 0),
    (frame(request % 2**62) + frame(b"x" * 1000, 2) * 50, 0),
    (frame(b"", length=64 << 20), 0), (frame(b"", length=(64 << 20) + 1), 0), (frame(b"", length=2**32 - 1), 0),
    (frame(b"half", length=400), 0), (frame(request % 0, carried=3), 0), (frame(request % 0, carried=2**24 - 1), 0),
    (frame(request % 0), 60), (frame(request % 0), 253), (frame(b"?", 7), 200), (b"x", 253),
]
for _ in range(150):
    whole = frame(request % 0, carried=random.randrange(3))
    flipped = bytearray(whole)
    for _ in range(random.randrange(1, 6)):
        flipped[random.randrange(len(flipped))] = random.randrange(256)
    shouts.append((bytes(flipped), random.randrange(4)))
    shouts.append((random.randbytes(random.randrange(200)), random.randrange(4)))
    shouts.append((whole[: random.randrange(len(whole))], 0))

open_ones = []
for number, (text, descriptors) in enumerate(shouts):
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    peer.connect(control)
    peer.settimeout(20)
    try:
        if text:
            peer.sendmsg([text[:1]], rights(descriptors))
            peer.sendall(text[1:])
    except (BrokenPipeError, ConnectionResetError):
        pass  # it was told off before it had finished
    if number % 3 == 0:
        open_ones.append(peer)  # and says nothing more, for as long as this runs
    else:
        peer.close()

# ---- the keeper

syscall = ctypes.CDLL(None, use_errno=True).syscall
pidfd = syscall(434, controller, 0)
keeper = None
for name in os.listdir("/proc/%d/fd" % controller):
    fd = syscall(438, pidfd, int(name), 0)
    if fd < 0:
        continue
    try:
        end = socket.socket(fileno=fd)
        if end.type & 0xF == socket.SOCK_SEQPACKET:
            keeper = end
    except OSError:
        os.close(fd)
assert keeper, "the controller has no socket to a keeper"
HOLD, QUIT = 2, 5


def message(kind, held=0, flags=0, name=b"", ident=0x7FFFFF00):
    return struct.pack("<IIiiiIIxxxxq80s", kind, ident, -1, -1, -1, flags, held, 0, name)


packets = [
    (b"x", 0), (b"\0" * 119, 0), (message(0), 0), (message(99), 5), (message(2**32 - 1), 0), (message(HOLD), 0),
    (message(HOLD), 2), (message(HOLD), 199), (message(HOLD), 253), (message(3, name=b"n" * 80), 0), (message(4), 0),
    (message(1), 0), (message(1, held=60), 60), (message(1, held=2**32 - 1, flags=1), 3),
    (message(1) + b"\0" * 4096, 1), (message(1) + random.randbytes(4096), 30), (message(1) + b"x" * 150000, 0),
    (message(101), 1), (message(104), 1), (message(106), 0),
]
for _ in range(300):
    packet = bytearray(message(random.choice([0, 1, 3, 4, 6, 7, 8, 50])) + random.randbytes(random.randrange(300)))
    for _ in range(random.randrange(4)):
        packet[random.randrange(4, len(packet))] = random.randrange(256)
    packets.append((bytes(packet[: random.randrange(1, len(packet) + 1)]), random.randrange(5)))
for packet, descriptors in packets:
    keeper.sendmsg([packet], rights(descriptors))
print("shouted", len(shouts), len(packets), flush=True)
sys.stdin.read()
