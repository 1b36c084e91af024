#!/usr/bin/env python3
"""Prints PESQ (ITU-T P.862, narrow-band, as MOS-LQO of P.862.1) of what benches/quality/main.rs has written, as a table.

Usage: score.py DIRECTORY
"""
import pathlib
import statistics
import sys
import wave

import numpy
from pesq import pesq

RATE_HZ = 8000
REFERENCES = {"to_browser": "ref.ulaw", "to_trunk": "ref.source"}
TITLES = {
    "to_browser": "trunk to browser, against the decoded G.711",
    "to_trunk": "browser to trunk, against the source",
}


def read(path):
    with wave.open(str(path)) as file:
        return numpy.frombuffer(file.readframes(file.getnframes()), dtype="<i2")


def main():
    directory = pathlib.Path(sys.argv[1])
    references = {way: read(directory / f"{name}.wav") for way, name in REFERENCES.items()}
    scores = {}
    for path in sorted(directory.glob("to_*.wav")):
        way, kind, percent, fec, _seed = path.stem.split(".")
        score = pesq(RATE_HZ, references[way], read(path), "nb")
        scores.setdefault((way, kind, int(percent), fec), []).append(score)
    percents = sorted({key[2] for key in scores})
    print("| PESQ, narrow-band | " + " | ".join(f"{percent} % lost" for percent in percents) + " |")
    print("|---|" + "---|" * len(percents))
    for way, title in TITLES.items():
        for kind in ("random", "bursty"):
            for fec, with_fec in (("fec", "FEC"), ("plain", "no FEC")):
                cells = [f"{statistics.mean(scores[way, kind, percent, fec]):.2f}" for percent in percents]
                print(f"| {title}; {kind}, {with_fec} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
