"""The people of one district: who teaches where from 2019 to 2025, and what the register says of them.

Belongs here: persons, their posts by year, and the attributes the register exports. A post (school, stage, category)
holds a window of persons that moves on every year: the oldest leave, young ones join; so a person keeps every
attribute over time.
Does not belong here: headers, files and encodings (``register_files``).
All persons are made up. Their ID numbers are valid by form (GB 11643) and unique over the whole city.
"""

from dataclasses import dataclass

import numpy as np

from sources.sample.frame import Bools, Floats, Frame, Ints, Texts
from sources.sample.geography import Area
from sources.sample.profiles import MODEL_YEARS, PRESCHOOL, SPECIAL, VOCATIONAL
from sources.sample.vocab import FIRST_PROFESSIONAL, SUBJECT_SHARES

FULL_TIME, ADMIN, SUPPORT, WORKER = range(4)
DOCTOR, MASTER, BACHELOR, COLLEGE, SECONDARY, BELOW = range(6)
EPOCH = np.datetime64("1900-01-01", "D")
_FEMALE = np.array([0.97, 0.72, 0.57, 0.50, 0.50, 0.70])
# P(master+), P(bachelor+), P(college+) by stage in 2020 and 2025
_LEVELS_2020 = np.array(
    [
        [0.002, 0.27, 0.86],
        [0.02, 0.69, 0.975],
        [0.045, 0.885, 0.998],
        [0.13, 0.985, 0.999],
        [0.10, 0.93, 0.99],
        [0.03, 0.76, 0.98],
    ]
)
_LEVELS_2025 = np.array(
    [
        [0.004, 0.38, 0.93],
        [0.035, 0.83, 0.992],
        [0.08, 0.945, 0.999],
        [0.18, 0.994, 1.0],
        [0.14, 0.96, 0.995],
        [0.05, 0.86, 0.99],
    ]
)
_EDUCATION_POWER = {"G1": 1.12, "G2": 0.95, "G3": 0.88}
_STAFF_SHARE = {ADMIN: 0.055, SUPPORT: 0.025, WORKER: 0.04}
_ID_WEIGHTS = np.array([7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2])
CHECK_CHARACTERS = np.array(list("10X98765432"), dtype=object)


@dataclass(frozen=True)
class Posts:
    """One row a (school, stage, category); ``first`` and ``last`` are (posts, model years) windows into the persons."""

    school: Ints
    stage: Ints
    category: Ints
    slot: Ints
    first: Ints
    last: Ints


@dataclass(frozen=True)
class Roster:
    """All persons of a district over all model years; arrays of equal length, one entry a person."""

    area: Area
    posts: Posts
    post: Ints
    stage: Ints
    category: Ints
    contract: Bools
    male: Bools
    birth: Ints
    joined: Ints
    id_body: Ints
    id_check: Texts
    schooling: Floats
    subject: Ints
    luck: Floats

    def __len__(self) -> int:
        return len(self.post)


@dataclass(frozen=True)
class RegisterYear:
    """The register rows of a district and year: ``person`` indexes the roster, ``school`` the frame's schools.

    ``contract`` says which file the row is in; ``extra`` marks second rows of a person and people who have left
    already.
    """

    year: int
    person: Ints
    school: Ints
    contract: Bools
    extra: Bools
    retired: Bools


def build_roster(frame: Frame, area: Area) -> Roster:
    """All persons of ``area``; depends on the seed and the area only."""
    rng = np.random.default_rng(np.random.SeedSequence([frame.seed, frame.profile.number, 5, area.index]))
    posts, count = _posts(frame, area)
    post = np.repeat(np.arange(len(count)), count)
    stage, category = posts.stage[post], posts.category[post]
    luck = rng.random((len(post), 8))
    birth, joined = _birth_and_entry(posts, post, luck)
    male = luck[:, 2] >= np.where(category == FULL_TIME, _FEMALE[stage], 0.45)
    body, check = _id_numbers(area, birth, male, luck[:, 3])
    public = frame.schools.public[posts.school[post]]
    contract_share = np.where(public, np.where(stage == PRESCHOOL, 0.10, 0.03), 1.0)
    power = _EDUCATION_POWER.get(area.group, 1.1)
    return Roster(
        area=area,
        posts=posts,
        post=post,
        stage=stage,
        category=category,
        contract=luck[:, 4] < contract_share,
        male=male,
        birth=birth,
        joined=joined,
        id_body=body,
        id_check=check,
        schooling=luck[:, 5] ** power,
        subject=_subjects(stage, luck[:, 6]),
        luck=rng.random((len(post), 10)),
    )


def register_year(frame: Frame, roster: Roster, year: int) -> RegisterYear:
    """The rows of a year: everyone in post, then second posts, and a few who retired within the last year."""
    column = frame.column(year)
    first, last = roster.posts.first[:, column], roster.posts.last[:, column]
    person = _ranges(first, last)
    gone = _ranges(roster.posts.first[:, column - 1], first)
    standing = frame.schools.standing(year)[roster.posts.school]
    gone = gone[(roster.luck[gone, 0] < 0.06) & standing[roster.post[gone]] & (roster.category[gone] == FULL_TIME)]
    second, second_school, other_file = _second_posts(roster, person, first, last)
    people = np.concatenate([person, gone, second])
    school = np.concatenate(
        [roster.posts.school[roster.post[person]], roster.posts.school[roster.post[gone]], second_school]
    )
    contract = roster.contract[people]
    contract[len(person) + len(gone) :] ^= other_file
    kind = np.repeat([0, 1, 2], [len(person), len(gone), len(second)])
    order = np.lexsort((kind, people, school))
    return RegisterYear(year, people[order], school[order], contract[order], kind[order] > 0, kind[order] == 1)


def education(roster: Roster, person: Ints, year: int) -> Ints:
    """Highest education of persons in a year (index into doctor .. below); nobody ever loses a degree."""
    step = (max(year, 2020) - 2020) / 5
    levels = (_LEVELS_2020 + (_LEVELS_2025 - _LEVELS_2020) * step)[roster.stage[person]]
    draw = roster.schooling[person]
    level = np.where(draw < levels[:, 2], COLLEGE, np.where(draw < 0.9995, SECONDARY, BELOW))
    level = np.where(draw < levels[:, 1], BACHELOR, level)
    level = np.where(draw < levels[:, 0], MASTER, level)
    return np.where(draw < levels[:, 0] * 0.015, DOCTOR, level)


def professional(roster: Roster, person: Ints) -> Bools:
    """Full-time teachers of professional courses in vocational schools."""
    teaches = (roster.stage[person] == VOCATIONAL) & (roster.category[person] == FULL_TIME)
    return np.asarray(teaches & (roster.subject[person] >= FIRST_PROFESSIONAL), dtype=np.bool_)


def dual_qualified(roster: Roster, person: Ints, year: int) -> Bools:
    """双师型: professional teachers with practice; the share grows from 50 % to 58 %."""
    practised = roster.luck[person, 1] < 0.50 + 0.08 * (year - 2020) / 5
    return np.asarray(professional(roster, person) & practised, dtype=np.bool_)


def backbone(roster: Roster, person: Ints) -> Ints:
    """Backbone level: 0 none, 1 national, 2 municipal, 3 district, 4 school; full-time teachers only."""
    level = 1 + np.searchsorted([0.003, 0.018, 0.10, 0.16], roster.luck[person, 2], side="right")
    return np.where((level > 4) | (roster.category[person] != FULL_TIME), 0, level)


def _posts(frame: Frame, area: Area) -> tuple[Posts, Ints]:
    """The posts of an area and how many persons pass through each from 2019 to 2025."""
    slots = frame.slots
    own = np.flatnonzero(slots.area == area.index)
    school, stage, slot = slots.school[own], slots.stage[own], own
    counts = [slots.teachers[own]]
    main, position = np.unique(school, return_index=True)
    main_stage = _main_stage(frame, own, main, position)
    total = np.zeros((len(main), len(MODEL_YEARS)), dtype=np.int64)
    np.add.at(total, np.searchsorted(main, school), slots.teachers[own])
    for category, share in _STAFF_SHARE.items():
        staff = np.rint(total * share).astype(np.int64)
        counts.append(np.where(total > 0, np.maximum(staff, 1 if category == ADMIN else 0), 0))
    count = np.concatenate(counts)
    first, last = _windows(count)
    size = last[:, -1]
    offset = np.concatenate([[0], np.cumsum(size)[:-1]])[:, None]
    posts = Posts(
        school=np.concatenate([school, *([main] * 3)]),
        stage=np.concatenate([stage, *([main_stage] * 3)]),
        category=np.repeat([FULL_TIME, ADMIN, SUPPORT, WORKER], [len(own)] + [len(main)] * 3),
        slot=np.concatenate([slot, np.full(3 * len(main), -1)]),
        first=first + offset,
        last=last + offset,
    )
    return posts, size


def _main_stage(frame: Frame, own: Ints, main: Ints, position: Ints) -> Ints:
    """The stage the other staff of a school are counted under: its lowest own stage, not an attached one."""
    stage = frame.slots.stage[own[position]]
    for row in own[~frame.slots.attached[own]][::-1]:
        stage[np.searchsorted(main, frame.slots.school[row])] = frame.slots.stage[row]
    return stage


def _windows(count: Ints) -> tuple[Ints, Ints]:
    """Windows of persons by year: 3 % leave at the old end, new ones join at the young end."""
    first, last = np.zeros_like(count), np.zeros_like(count)
    last[:, 0] = count[:, 0]
    # Small posts lose somebody only every few years, each at its own beat.
    phase = (np.arange(len(count)) * 0.618) % 1
    for column in range(1, count.shape[1]):
        pace = count[:, column - 1] * 0.032
        leaving = (np.floor(pace * column + phase) - np.floor(pace * (column - 1) + phase)).astype(np.int64)
        first[:, column] = np.maximum(first[:, column - 1] + leaving, last[:, column - 1] - count[:, column])
        first[:, column] = np.minimum(first[:, column], last[:, column - 1])
        last[:, column] = np.maximum(first[:, column] + count[:, column], last[:, column - 1])
        first[:, column] = last[:, column] - count[:, column]
    return first, last


def _ranges(first: Ints, last: Ints) -> Ints:
    """All whole numbers in the half-open windows, window after window."""
    width = last - first
    start = np.repeat(first - np.concatenate([[0], np.cumsum(width)[:-1]]), width)
    return start + np.arange(width.sum())


def _birth_and_entry(posts: Posts, post: Ints, luck: Floats) -> tuple[Ints, Ints]:
    """(birth as days since 1900, year of joining); those who opened the post are of all ages, later ones are young."""
    number = np.arange(len(post)) - posts.first[:, 0][post]
    founded = np.argmax(posts.last > posts.first, axis=1)
    rows = np.arange(len(founded))
    founders = (posts.last[rows, founded] - posts.first[rows, 0])[post]
    year = np.asarray(MODEL_YEARS)
    column = (number[:, None] + posts.first[:, 0][post][:, None] >= posts.last[post]).sum(axis=1)
    joined = year[np.minimum(column, len(year) - 1)]
    veteran = number < founders
    place = (number + 0.5) / np.maximum(founders, 1)
    age = np.where(veteran, 59 - 36 * place + 4 * (luck[:, 0] - 0.5), 22 + 6 * luck[:, 0])
    born = joined - np.clip(np.rint(age).astype(np.int64), 21, 60)
    january = (born - 1970).astype("datetime64[Y]").astype("datetime64[D]")
    birth = (january - EPOCH).astype(np.int64) + (luck[:, 1] * 365).astype(np.int64)
    experience = np.where(veteran, np.maximum(age - 23, 0), 0).astype(np.int64)
    return birth, joined - experience


def _id_numbers(area: Area, birth: Ints, male: Bools, draw: Floats) -> tuple[Ints, Texts]:
    """The 17 digits and the check character of each person's ID number; unique within the area by counting."""
    own, former, outside = area.birth_codes
    date = EPOCH + birth.astype("timedelta64[D]")
    year = date.astype("datetime64[Y]").astype(np.int64) + 1970
    codes = np.array([int(own), int(former), int(outside), int(area.old_birth_code)])
    pick = np.where(
        draw < 0.08, 2, np.where((year < 1990) & (draw < 0.6), 3, np.where((year < 1998) & (draw < 0.75), 1, 0))
    )
    place = codes[pick]
    order = np.lexsort((np.arange(len(birth)), male, birth, place))
    same = np.r_[False, (np.diff(place[order]) == 0) & (np.diff(birth[order]) == 0) & ~np.diff(male[order])]
    position = np.arange(len(order))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = position - np.maximum.accumulate(np.where(same, 0, position))
    serial = 2 * ((birth * 37 + rank) % 500) + male
    month = date.astype("datetime64[M]").astype(np.int64) % 12 + 1
    day = (date - date.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64) + 1
    body = place * 10**11 + (year * 10_000 + month * 100 + day) * 1000 + serial
    digits = body[:, None] // 10 ** np.arange(16, -1, -1) % 10
    return body, CHECK_CHARACTERS[(digits * _ID_WEIGHTS).sum(axis=1) % 11]


def _subjects(stage: Ints, draw: Floats) -> Ints:
    """Main subject as an index into the subject list of the stage."""
    subject = np.zeros(len(stage), dtype=np.int64)
    for number, shares in enumerate(SUBJECT_SHARES):
        rows = stage == number
        subject[rows] = np.minimum(np.searchsorted(np.cumsum(shares), draw[rows], side="right"), len(shares) - 1)
    return subject


def _second_posts(roster: Roster, person: Ints, first: Ints, last: Ints) -> tuple[Ints, Ints, Bools]:
    """(person, school, in the other file) of those who stand twice: 0.6 % at a second school, 0.2 % in both files.

    A second school has the same stage and lies in the same district, so that counting persons is the same at every
    level.
    """
    draw = roster.luck[person, 3]
    twice = person[(draw < 0.008) & (roster.category[person] == FULL_TIME)]
    other_file = roster.luck[twice, 3] >= 0.006
    school = roster.posts.school[roster.post[twice]].copy()
    active = (last > first) & (roster.posts.category == FULL_TIME)
    for stage in range(SPECIAL + 1):
        choices = np.unique(roster.posts.school[active & (roster.posts.stage == stage)])
        rows = np.flatnonzero((roster.stage[twice] == stage) & ~other_file)
        if len(choices) > 1:
            here = np.searchsorted(choices, school[rows])
            step = 1 + (roster.luck[twice[rows], 4] * (len(choices) - 1)).astype(np.int64)
            school[rows] = choices[(here + step) % len(choices)]
    moved = (school != roster.posts.school[roster.post[twice]]) | other_file
    return twice[moved], school[moved], other_file[moved]
