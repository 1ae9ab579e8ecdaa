"""A link between two network namespaces with a rate and a delay, for kernels without `netem`.

    link.py RATE DELAY NAMESPACE:DEVICE NAMESPACE:DEVICE    RATE in Gbit/s (0: no limit), DELAY in ms each way

Makes a TUN device in each namespace and carries packets from one to the other until it is ended: a packet
leaves when the link is free, takes its bytes divided by the rate, and arrives after the delay. Needs root.
"""

import collections
import fcntl
import os
import select
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
MTU = 65000


def device(end: str) -> int:
    """A new device, moved into its namespace, from which it is read and written here."""
    namespace, name = end.split(":")
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    subprocess.run(["ip", "link", "set", name, "mtu", str(MTU), "netns", namespace], check=True)
    return descriptor


def carry(source: int, sink: int, seconds_per_byte: float, delay: float) -> None:
    """Carries packets in one direction."""
    on_the_way: collections.deque[tuple[float, bytes]] = collections.deque()
    free = 0.0
    while True:
        wait = max(on_the_way[0][0] - time.perf_counter(), 0) if on_the_way else None
        select.select([source], [], [], wait)
        now = time.perf_counter()
        try:
            packet = os.read(source, MTU)
            free = max(now, free) + len(packet) * seconds_per_byte
            on_the_way.append((free + delay, packet))
        except BlockingIOError:
            pass
        except OSError:  # the device is not up
            time.sleep(0.01)
        while on_the_way and on_the_way[0][0] <= now:
            try:
                os.write(sink, on_the_way.popleft()[1])
            except OSError:
                pass  # lost, as packets are


def main() -> None:
    rate, delay = float(sys.argv[1]), float(sys.argv[2]) / 1000
    seconds_per_byte = 8 / (rate * 1e9) if rate else 0.0
    one, other = (device(end) for end in sys.argv[3:5])
    print("up", flush=True)
    if os.fork():
        carry(one, other, seconds_per_byte, delay)
    else:
        carry(other, one, seconds_per_byte, delay)


main()
