"""Synthesises the music of examples/launch: four bars of 2.5 s at 96 beats a minute, one per scene.

Everything is computed here, from sines and seeded noise, so the result is ours and the same on every run:
`python scripts/launch_music.py` writes examples/launch/music.m4a (needs FFmpeg).
"""

import array
import math
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

RATE = 48_000
BEAT_S = 0.625
BAR_S = 4 * BEAT_S
LENGTH = 10 * RATE
TARGET = Path(__file__).parents[1] / "examples" / "launch" / "music.m4a"

# Dm9, Bbmaj7, Csus2, F: as MIDI notes, lowest first.
CHORDS = [(50, 57, 60, 64, 65), (46, 53, 57, 62, 65), (48, 55, 62, 64, 67), (41, 53, 57, 60, 67)]
# Per bar: when the bass plays and for how long, in beats.
BASS: list[list[tuple[float, float]]] = [
    [],
    [(0, 1.5), (2, 1.5)],
    [(0, 0.7), (1, 0.7), (2, 0.7), (3, 0.7)],
    [(0, 4)],
]
ARPEGGIO = [0, 2, 4, 3, 1, 4, 2, 3]

Wave = Callable[[float], float]


class Track:
    """Stereo samples that notes are added to."""

    def __init__(self) -> None:
        self.left = array.array("d", bytes(8 * LENGTH))
        self.right = array.array("d", bytes(8 * LENGTH))

    def add(self, start_s: float, length_s: float, wave: Wave, *, gain: float, pan: float = 0.0) -> None:
        """`wave` is called with the seconds since the note began; `pan` runs from -1 to 1."""
        left, right = gain * math.sqrt((1 - pan) / 2), gain * math.sqrt((1 + pan) / 2)
        first = round(start_s * RATE)
        for i in range(max(0, first), min(LENGTH, first + round(length_s * RATE))):
            value = wave((i - first) / RATE)
            self.left[i] += left * value
            self.right[i] += right * value

    def echo(self, delay_s: float, feedback: float, wet: float) -> None:
        """A ping-pong delay: every repeat changes sides."""
        n = round(delay_s * RATE)
        left, right = array.array("d", self.left), array.array("d", self.right)
        for i in range(n, LENGTH):
            left[i] += feedback * right[i - n]
            right[i] += feedback * left[i - n]
            self.left[i] += wet * right[i - n]
            self.right[i] += wet * left[i - n]

    def duck(self, hits_s: list[float], depth: float) -> None:
        """Makes room for the kick."""
        for hit in hits_s:
            first = round(hit * RATE)
            for i in range(first, min(LENGTH, first + round(0.3 * RATE))):
                level = 1 - depth * math.exp(-(i - first) / RATE / 0.09)
                self.left[i] *= level
                self.right[i] *= level


def hertz(note: float) -> float:
    return 440.0 * 2 ** ((note - 69) / 12)


def pluck(note: float, decay_s: float, brightness: float) -> Wave:
    turn = 2 * math.pi * hertz(note)

    def wave(t: float) -> float:
        index = brightness * math.exp(-t / (0.35 * decay_s))
        body = math.sin(turn * t + index * math.sin(2 * turn * t))
        return body * min(1.0, t / 0.003) * math.exp(-t / decay_s)

    return wave


def pad(note: float, length_s: float) -> Wave:
    turns = [2 * math.pi * hertz(note + detune) for detune in (-0.07, 0.0, 0.06)]

    def wave(t: float) -> float:
        swell = min(1.0, t / 0.5) * min(1.0, max(0.0, length_s - t) / 0.5)
        return swell * sum(math.sin(turn * t) + 0.25 * math.sin(2 * turn * t + 0.4) for turn in turns) / 3

    return wave


def bass(note: float, length_s: float) -> Wave:
    turn = 2 * math.pi * hertz(note)

    def wave(t: float) -> float:
        shape = min(1.0, t / 0.006) * min(1.0, max(0.0, length_s - t) / 0.05) * math.exp(-t / 0.9)
        return shape * math.tanh(1.7 * math.sin(turn * t) + 0.5 * math.sin(2 * turn * t))

    return wave


def kick(t: float) -> float:
    return math.sin(2 * math.pi * (48 * t + 3.6 * (1 - math.exp(-t / 0.035)))) * math.exp(-t / 0.16)


def noise(seed: int, decay_s: float) -> Wave:
    values = random.Random(seed)
    last = 0.0

    def wave(t: float) -> float:
        nonlocal last
        value = values.uniform(-1, 1)
        last, high = value, value - last  # a difference is a high-pass
        return 0.5 * high * math.exp(-t / decay_s)

    return wave


def riser(seed: int, length_s: float) -> Wave:
    values = random.Random(seed)
    state = 0.0

    def wave(t: float) -> float:
        nonlocal state
        state += (0.02 + 0.5 * (t / length_s) ** 3) * (values.uniform(-1, 1) - state)
        return state * (t / length_s) ** 2

    return wave


def melodic() -> Track:
    track = Track()
    for bar, chord in enumerate(CHORDS):
        start = bar * BAR_S
        last = bar == 3
        for i, note in enumerate(chord[1:]):
            track.add(start, BAR_S + 0.4, pad(note, BAR_S + 0.4), gain=0.055 + 0.012 * last, pan=(i - 1.5) / 2)
        steps = 16 if bar == 2 else 8
        if not last:
            for step in range(steps):
                note = chord[ARPEGGIO[step % 8]] + (24 if step % 4 == 3 else 12)
                at = start + step * BAR_S / steps
                track.add(at, 0.9, pluck(note, 0.22, 1.6), gain=0.16, pan=0.55 * math.sin(2.4 * step))
    for i, note in enumerate((65, 72, 77, 79, 84, 89)):
        track.add(3 * BAR_S + 0.06 * i, 2.5, pluck(note, 0.9, 2.2), gain=0.17, pan=(-0.5, 0.5)[i % 2])
    track.echo(BEAT_S * 0.75, 0.42, 0.34)
    return track


def rhythm() -> tuple[Track, list[float]]:
    track, hits = Track(), []
    for bar in (1, 2):
        hits += [bar * BAR_S + beat * BEAT_S for beat in range(4)]
    hits.append(3 * BAR_S)
    for hit in hits:
        track.add(hit, 0.6, kick, gain=0.5)
    for bar, chord in enumerate(CHORDS):
        start = bar * BAR_S
        for at, length in BASS[bar]:
            track.add(start + at * BEAT_S, length * BEAT_S, bass(chord[0] - 12, length * BEAT_S), gain=0.27)
        if bar in (1, 2):
            for step in range(8 if bar == 1 else 16):
                at = start + step * BAR_S / (8 if bar == 1 else 16)
                track.add(at, 0.12, noise(bar * 100 + step, 0.022), gain=0.10 if step % 2 else 0.06, pan=0.3)
            for beat in (1, 3):
                track.add(start + beat * BEAT_S, 0.3, noise(900 + bar * 4 + beat, 0.075), gain=0.17, pan=-0.15)
    for bar in (1, 2, 3):
        track.add(bar * BAR_S - 0.9, 0.9, riser(40 + bar, 0.9), gain=0.22)
    track.add(3 * BAR_S, 1.8, noise(77, 0.5), gain=0.16)
    return track, hits


def mixed() -> bytes:
    tune = melodic()
    beat, hits = rhythm()
    tune.duck(hits, 0.45)
    samples = array.array("h")
    for i in range(LENGTH):
        t = i / RATE
        level = min(1.0, t / 0.02) * min(1.0, (10 - t) / 0.9) ** 1.5
        for side, other in ((tune.left, beat.left), (tune.right, beat.right)):
            samples.append(round(32_000 * level * math.tanh(1.15 * (side[i] + other[i]))))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()


def main() -> None:
    source = ("-f", "s16le", "-ar", str(RATE), "-ac", "2", "-i", "-")
    target = ("-c:a", "aac", "-b:a", "128k", "-fflags", "+bitexact", "-flags:a", "+bitexact", str(TARGET))
    subprocess.run(("ffmpeg", "-v", "error", "-y", *source, *target), input=mixed(), check=True)


if __name__ == "__main__":
    main()
