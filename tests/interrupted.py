"""Run by test_explore_limits.py in a process of its own: interrupt explorations, and print what came."""

import _thread
import collections
import json
import os
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from labkit.interleave.explore import explore

counter = 0


def long_work():
    global counter  # noqa: PLW0603 - the program that is explored
    for _ in range(8):
        counter += 1


def main():
    before = {thread.name for thread in threading.enumerate()}
    reasons = collections.Counter()
    number = 0
    while reasons["Interrupted"] < 12 and number < 500:  # some interrupts come before the exploration has begun
        number += 1
        timer = threading.Timer(0.002 * (number % 40), _thread.interrupt_main)
        try:
            timer.start()
            result = explore([long_work, long_work, long_work], seconds_most=20)
            reasons[result.reason.partition(",")[0].partition(".")[0].partition(" after")[0].partition(";")[0]] += 1
        except KeyboardInterrupt:
            reasons["raised"] += 1
        timer.join()
    left = sorted({thread.name for thread in threading.enumerate()} - before)
    print(json.dumps({"left": left, "counter": counter, "reasons": reasons}))


main()
