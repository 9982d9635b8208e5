"""Queries that ask in vain: things that can be taken out of captioned pictures, and strings that mean nothing."""

import re
from collections.abc import Iterator, Sequence

import numpy as np

SNOW = "snow snowy snowing snowball ski skis skier skiers skiing snowboard snowboarder snowboarders snowboarding"
CYCLING = (
    "bike bikes biker bikers biking bicycle bicycles bicyclist bicyclists bicycling cyclist cyclists cycling bmx "
    "dirtbike motorbike motorbikes motorcycle motorcycles motorcyclist motorcyclists motocross"
)
MUSIC = (
    "guitar guitars guitarist band drum drums drummer instrument instruments microphone sing singing sings singer "
    "musician musicians music piano violin accordion trumpet"
)
FOOD = (
    "eat eats eating food meal dinner lunch restaurant cake pizza sandwich drink drinks drinking cook cooking cooks "
    "cream snack candy fruit apple banana breakfast"
)
SKATING = (
    "skateboard skateboards skateboarder skateboarders skateboarding skater skaters skate skates skating skatepark "
    "rollerblade rollerblader rollerblades rollerblading"
)
SURFING = "surf surfs surfer surfers surfing surfboard surfboards wakeboard wakeboarder wakeboarding windsurfer waves"

BOATS = "boat boats boating sailboat kayak kayaks kayaker kayaking canoe canoes raft rafting sail sailing ship"

THINGS: tuple[dict[str, str], dict[str, str]] = (
    {
        "trampoline": "trampoline trampolines",
        "slide": "slide slides sliding playground",
        "costume": "costume costumes parade mask masks clown",
        "football": "football quarterback tackle tackles tackled tackling rugby",
        "umbrella": "umbrella umbrellas parasol",
        "climbing": "climb climbs climbing climber climbers cliff cliffs rope ropes harness",
        "tent": "tent tents camp camping campsite campfire",
        "bubbles": "bubble bubbles balloon balloons",
        "baby": "baby babies toddler toddlers infant",
        "hockey": "hockey lacrosse puck goalie",
        "cars": "car cars racecar vehicle vehicles truck trucks jeep van atv tractor taxi",
        "trains and buses": "train trains bus buses subway railroad tracks rail railway trolley",
        "surfing": SURFING,
        "cycling": CYCLING,
        "boats": BOATS,
        "snow": f"{SNOW} sled sledding sledge sleigh ice icy winter",
        "pool": "pool pools",
    },
    {
        "cat": "cat cats kitten",
        "fish": "fish fishing fisherman fishes",
        "tennis": "tennis racket racquet",
        "swing": "swing swings swinging",
        "food": FOOD,
        "baseball": "baseball softball pitcher umpire batter",
        "horse": "horse horses horseback pony rodeo bronco cowboy cowboys jockey",
        "soccer": "soccer",
        "mountains": "mountain mountains mountainside peak summit hiker hikers hiking hike hikes",
        "beach": "beach beaches shore shoreline seashore seaside sand sandy ocean sea",
        "birds": "bird birds seagull seagulls duck ducks goose geese pigeon pigeons swan",
        "fountain": "fountain fountains sprinkler sprinklers hose",
        "basketball": "basketball basketballs dunk dunks hoop",
        "music": MUSIC,
        "flowers": "flower flowers flowered flowery",
        "skating": SKATING,
    },
)
"""Things that pictures of people, dogs and sports may show, each with the words that name it. What is fitted, is fitted
with the first half alone, so that the second can be asked for without having taken part. They were dealt out in turn
by how hard they are to miss, so that both halves are alike."""

ABOUT = 3
"""A caption is about a thing when it names it, and at least so many captions of its picture do."""

_KEPT_AWAY_WORDS = (
    "accordion airplanes anchor ant barrel bass beaver binocular bonsai brain brontosaurus buddha butterfly camera "
    "cannon car ceiling fan cellphone chair chandelier cougar crab crayfish crocodile cup dalmatian dollar bill "
    "dolphin dragonfly electric guitar elephant emu euphonium ewer faces ferry flamingo garfield gerenuk gramophone "
    "grand piano hawksbill headphone hedgehog helicopter ibis inline skate joshua tree kangaroo ketch lamp laptop "
    "leopards llama lobster lotus mandolin mayfly menorah metronome minaret motorbikes nautilus octopus okapi pagoda "
    "panda pigeon pizza platypus pyramid revolver rhino rooster saxophone schooner scissors scorpion sea horse snoopy "
    "soccer ball stapler starfish stegosaurus stop sign strawberry sunflower tick trilobite umbrella watch water "
    "lilly wheelchair wild cat windsor wrench yin yang"
)
KEPT_AWAY = frozenset(_KEPT_AWAY_WORDS.split())
"""Words of the names of Caltech-101's classes. Nothing is fitted with a name that has one of them, in any form, so that
these can be asked for too."""

SPLIT_WORDS = 2
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_HEX = "0123456789abcdef"
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_SYLLABLES = (
    "ba be bi bo bu da de di do dra fle fo gar gli gu ha hin jo ka kre lo lu ma mer min mo na nek nu or pa pel plo qua "
    "ra ri ro sa ska so sti ta tek to tra ul va ven vo wim xo ya zan zi zor"
)
_RARE = (
    "notwithstanding epistemology amortization quorum subjunctive tariff heuristic annuity ontology solvency hitherto "
    "jurisprudence morpheme escrow inflationary dialectic codicil syllogism modulo arbitrage hegemony axiom phoneme "
    "nominal lien exegesis stochastic quotient predicate indemnity covenant entropy gerund tautology proviso abeyance "
    "logarithm rubric usury cadastral isomorphism fiduciary ablative monad polynomial writ concordat telos eigenvalue "
    "hermeneutics actuarial thereof ergodic moratorium vocative demurrage semiotic coefficient jurisdiction liquidity "
    "apocryphal aphorism tensor bylaw metonymy dividend hypotenuse probate numerator dative ordinance corollary surety "
    "etymology bijection surcharge teleology ratify cosine elegy remittance pronoun lemma usufruct asymptote clause "
    "plebiscite idiom mortgage enthalpy levy schema parable discount integer mandate syntax leasehold vector"
)
KINDS = ("letters", "syllables", "keyboard", "rare words", "code", "numbers")


def names_thing(words: str) -> re.Pattern[str]:
    """Return what finds any of the words of a thing in a caption."""
    return re.compile(rf"\b(?:{'|'.join(words.split())})\b", re.IGNORECASE)


def nonsense(count: int, seed: int, half: int) -> list[str]:
    """Return strings that mean nothing, of all ``KINDS`` in turn; equal for equal arguments.

    ``half`` 0 or 1 takes syllables, rare words and forms of code from one half of each list.
    """
    made = _Nonsense(seed, half)
    makers = (made.letters, made.syllables, made.keyboard, made.rare, made.code, made.numbers)
    return [makers[place % len(makers)]() for place in range(count)]


class _Nonsense:
    """Makes strings that mean nothing."""

    def __init__(self, seed: int, half: int) -> None:
        self._rng, self._half = np.random.default_rng(seed), half

    def letters(self) -> str:
        return " ".join(self._some(_LETTERS, self._rng.integers(3, 10)) for _ in self._times(1, 5))

    def syllables(self) -> str:
        known = _SYLLABLES.split()[self._half :: SPLIT_WORDS]
        return " ".join(self._some(known, self._rng.integers(2, 5)) for _ in self._times(1, 5))

    def keyboard(self) -> str:
        found = []
        for _ in self._times(1, 4):
            row = _ROWS[self._rng.integers(len(_ROWS))]
            starts = self._rng.integers(len(row), size=self._rng.integers(4, 12))
            found.append("".join(row[at : at + (1 if at % 2 else 3)] for at in starts)[:12])
        return " ".join(found)

    def rare(self) -> str:
        known = _RARE.split()[self._half :: SPLIT_WORDS]
        return " ".join(self._rng.choice(known, self._rng.integers(3, 8), replace=False))

    def code(self) -> str:
        word, digits = self._word, self._digits
        forms = (
            lambda: f"https://{word()}.{word()}.com/{word()}?{word()}={self._hex(8)}&{word()}={digits()}",
            lambda: f"ftp://{word()}:{digits()}/{self._hex(6)}/{word()}.tar.gz",
            lambda: f"for({word()}=0;{word()}<{digits()};{word()}++){{{word()}[{digits()}]^={word()};}}",
            lambda: f"def {word()}(*{word()}): return lambda {word()}: {word()}**{digits()}",
            lambda: f"{self._hex(8)}-{self._hex(4)}-{self._hex(4)}-{self._hex(12)}",
            lambda: f"sha256:{self._hex(24)}",
            lambda: f"SELECT {word()} FROM {word()} WHERE {word()}_id=0x{self._hex(4)};",
            lambda: f'{{"{word()}":[{digits()},{digits()}],"{word()}":null}}',
        )[self._half :: SPLIT_WORDS]
        return forms[self._rng.integers(len(forms))]()

    def numbers(self) -> str:
        marks = ("", "?", "//", "--", ";;", "%", "#")
        return " ".join(f"{self._digits()}{marks[self._rng.integers(len(marks))]}" for _ in self._times(2, 6))

    def _times(self, least: int, below: int) -> Iterator[int]:
        yield from range(int(self._rng.integers(least, below)))

    def _some(self, known: Sequence[str], count: int | np.integer) -> str:
        return "".join(self._rng.choice(list(known), int(count)))

    def _word(self) -> str:
        return self._some(_LETTERS, self._rng.integers(1, 6))

    def _digits(self) -> str:
        return str(self._rng.integers(0, 10 ** int(self._rng.integers(1, 8))))

    def _hex(self, count: int) -> str:
        return self._some(_HEX, count)
