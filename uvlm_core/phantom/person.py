"""Who lies on the table, and how the scan was made: the random numbers of one phantom."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Person:
    """Build, contrast phase and tissue values (HU) of one phantom."""

    female: bool
    fat_mm: float  # subcutaneous fat
    age: float  # 0 young .. 1 old: bone density, calcified cartilage, arteries
    phase: str  # "native", "arterial", "portal"
    scale: tuple[float, float, float]
    heart_scale: float
    cardiomegaly: bool
    arms: str  # "up", "down"
    hu: dict[str, float] = field(default_factory=dict)
    contrast_meal: bool = False


def random_person(rng: np.random.Generator, cardiomegaly: bool) -> Person:
    """A person of random build; `cardiomegaly` makes the heart wider than half of the chest."""
    female = bool(rng.random() < 0.5)
    obesity = rng.gamma(2.0, 0.5)
    size = rng.normal(0.99 if female else 1.04, 0.035)
    wide = 1.0 + 0.035 * (obesity - 1.0) + rng.normal(0, 0.025)
    scale = (size * wide, size * wide * rng.normal(1.0, 0.04), size * rng.normal(1.0, 0.035))
    scale = tuple(float(np.clip(s, 0.85, 1.2)) for s in scale)
    phase = str(rng.choice(["native", "arterial", "portal"], p=[0.4, 0.25, 0.35]))
    heart = rng.uniform(1.15, 1.3) if cardiomegaly else rng.uniform(0.82, 0.95)
    person = Person(female, float(np.clip(5 + 9 * obesity, 4, 34)), float(rng.random()), phase, scale, float(heart),
                    cardiomegaly, str(rng.choice(["up", "down"], p=[0.88, 0.12])), {}, bool(rng.random() < 0.25))
    person.hu = tissue_values(person, rng)
    return person


def tissue_values(person: Person, rng: np.random.Generator) -> dict[str, float]:
    """Mean HU of each tissue for the contrast phase."""
    def around(mean: float, spread: float) -> float:
        return float(rng.normal(mean, spread))

    phase = person.phase
    fatty_liver = rng.random() < 0.15
    blood = {"native": around(42, 4), "arterial": rng.uniform(200, 420), "portal": rng.uniform(125, 190)}[phase]
    right = {"native": blood, "arterial": blood * rng.uniform(0.6, 1.25), "portal": blood * rng.uniform(0.9, 1.05)}
    gain = {"native": (0, 0, 0, 0, 0), "arterial": (15, 75, 110, 40, 45), "portal": (50, 70, 150, 50, 35)}[phase]
    liver = (around(35, 8) if fatty_liver else around(57, 6)) + gain[0] * rng.uniform(0.7, 1.2)
    return {
        "fat": around(-102, 5), "muscle": around(52, 6) + (8 if phase != "native" else 0),
        "skin": around(20, 10), "lung": rng.uniform(-885, -800),
        "blood": float(blood), "right_blood": float(right[phase]),
        "vein": float(blood * {"native": 1.0, "arterial": 0.45, "portal": 0.95}[phase]),
        "myocardium": around(48, 4) + (35 if phase == "arterial" else 45 if phase == "portal" else 0),
        "liver": float(liver), "spleen": around(48, 4) + gain[1] * rng.uniform(0.8, 1.2),
        "kidney": around(32, 3) + gain[2] * rng.uniform(0.8, 1.2),
        "medulla": around(30, 3) + (30 if phase == "arterial" else gain[2] if phase == "portal" else 0),
        "pancreas": around(38, 5) + gain[3] * rng.uniform(0.8, 1.2), "bowel_wall": around(40, 5) + gain[4] * 0.7,
        "stomach_wall": around(40, 5) + gain[4] * 0.7, "esophagus": around(38, 5) + 0.4 * gain[4],
        "marrow": 260 - 140 * person.age + rng.normal(0, 20), "cortex": rng.uniform(420, 700),
        "gas": -990.0, "fluid": around(10, 6), "node": around(42, 5) + 0.7 * gain[4],
    }
