"""The columns of the teacher register as the management system exports them, and their values for the sample's people.

Belongs here: the header set of the exports, how it differs by year and file, and one Arrow string column a header.
Most columns are personal and are dropped unread by the product; the sample carries them because the real export does,
so that the dropping is put to the test. All values are made up.
Does not belong here: who stands in a file (``people``) and writing it (``register_files``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from sources.codelists import code_list
from sources.sample import vocab
from sources.sample.arrow_text import TextArray, digits, join, objects, repeat, take, text
from sources.sample.frame import Bools, Frame, Ints, Texts
from sources.sample.geography import areas
from sources.sample.people import EPOCH, FULL_TIME, Roster, backbone, dual_qualified, education, professional
from sources.sample.profiles import MODEL_YEARS, PRESCHOOL
from sources.sample.vocab import words
from sources.sample.workbook import SYNTHETIC_ZH

_LEARNT = words(
    "校名 学校类型 统一社会信用代码 姓名 身份证号 性别 民族 籍贯 婚姻状况 政治面貌 入党（团）时间 参加工作前学历 "
    "参加工作前学位 参加工作前毕业院校 参加工作前毕业院校代码 参加工作前毕业时间 参加工作前所学专业 最高学历 "
    "最高学位 最高学历毕业院校 最高学历毕业时间 最高学历所学专业 参加工作时间 进入本区教育系统时间 入编时间 "
    "入现单位时间 行政职务 行政职务任职时间 任教年级 主教学科 兼教学科 最高职称 职称证专业 职称认定时间 现聘职称 "
    "专业技术岗位 专业技术岗位聘用时间 普通话水平 教师资格学段 教师资格学科 骨干教师 四名工作室主持人 市级以上荣誉 "
    "市级以上人才项目 支教单位名称 支教地域 支教开始时间 支教结束时间 交流单位名称 交流开始时间 交流结束时间 "
    "常住地址 手机号 教育网短号 紧急联系人 与紧急联系人的关系 紧急联系方式 备注 年龄 区域 任教学段 "
    "是否音体美专任教师"
)
_ADDED_2024 = {
    "职称认定时间": "职称证发证时间",
    "现聘职称": "现聘职称聘用时间",
    "行政职务任职时间": "党内职务级别",
    "是否音体美专任教师": "{year}年9月编制所在学段 {year}年9月在岗状态",
}
_NOT_CONTRACT = frozenset(
    words(
        "入编时间 兼教学科 现聘职称 现聘职称聘用时间 支教单位名称 支教地域 支教开始时间 支教结束时间 交流单位名称 "
        "交流开始时间 交流结束时间"
    )
)
_OURS = words("统计年度 学校标识码 岗位类别 是否双师型 是否专业课教师 身份证件类型")
_STAGE_CODES = ("preschool", "primary", "junior", "senior_general", "vocational", "special")
_CATEGORY_CODES = ("full_time_teacher", "admin", "support", "worker")
_DEGREES = ("doctor", "master", "bachelor", "college", "secondary", "below")
_BACKBONE = ("", "national", "municipal", "district", "school")
_TITLES = ("none", "junior", "assistant", "intermediate", "senior_associate", "senior_full")


@dataclass(frozen=True)
class People:
    """Personal particulars of a district's persons, the same in every year and file; one entry a person."""

    name: Texts
    id_number: Texts
    phone: Texts
    other_name: Texts
    other_phone: Texts


def headers(year: int, *, contract: bool) -> list[str]:
    """The header row of a file: the export's own headers of that year, then the six that were agreed on."""
    found: list[str] = []
    for header in _LEARNT:
        found.append(header)
        if year >= 2024 and header in _ADDED_2024:
            found += _ADDED_2024[header].format(year=year).split()
    if contract:
        found = [header for header in found if header not in _NOT_CONTRACT]
        found.insert(found.index("姓名"), "教师身份")
    return [*found, *_OURS]


def particulars(frame: Frame, roster: Roster) -> People:
    """Names, ID numbers and telephone numbers of the persons of a district."""
    rng = np.random.default_rng(np.random.SeedSequence([frame.seed, frame.profile.number, 6, roster.area.index]))
    count = len(roster)
    body = objects(digits(roster.id_body))
    return People(
        name=made_up_names(rng, count),
        id_number=body + roster.id_check,
        phone=made_up_phones(rng, count),
        other_name=made_up_names(rng, count),
        other_phone=made_up_phones(rng, count),
    )


def made_up_names(rng: np.random.Generator, count: int) -> Texts:
    """Chinese personal names; four in a thousand need four bytes in GB18030."""
    surname = np.array(vocab.SURNAMES, dtype=object)[rng.integers(0, len(vocab.SURNAMES), count)]
    head = np.array(list(vocab.GIVEN_HEADS), dtype=object)[rng.integers(0, len(vocab.GIVEN_HEADS), count)]
    tail = np.array(vocab.GIVEN_TAILS, dtype=object)[rng.integers(0, len(vocab.GIVEN_TAILS), count)]
    rare = np.array(vocab.RARE_GIVEN, dtype=object)[rng.integers(0, len(vocab.RARE_GIVEN), count)]
    return np.asarray(surname + np.where(rng.random(count) < 0.004, rare, head) + tail, dtype=object)


def made_up_phones(rng: np.random.Generator, count: int) -> Texts:
    """Eleven-digit mobile numbers."""
    starts = np.array([130, 133, 135, 136, 138, 139, 150, 158, 177, 180, 189])
    numbers = starts[rng.integers(0, len(starts), count)] * 10**8 + rng.integers(0, 10**8, count)
    return objects(digits(numbers))


@dataclass(frozen=True)
class Rows:
    """The rows of one file: persons and their schools, and who has retired but is still listed."""

    frame: Frame
    roster: Roster
    people: People
    year: int
    person: Ints
    school: Ints
    retired: Bools


def columns(rows: Rows, names: Sequence[str]) -> list[TextArray]:
    """One string column for each header, in order; '' where the export has nothing."""
    made = {**_posts(rows), **_person(rows), **_career(rows), **_schooling(rows), **_private(rows)}
    empty = repeat("", len(rows.person))
    return [made.get(_bare(name), empty) for name in names]


def _bare(header: str) -> str:
    """A header without the year that stands in it."""
    return header[7:] if header[:4].isdigit() else header


def _labels(list_name: str, codes: Sequence[str]) -> list[str]:
    labels = code_list(list_name).labels
    return [labels[code] if code else "" for code in codes]


def _yes_no(values: Bools) -> TextArray:
    return take(("否", "是"), values)


def _posts(rows: Rows) -> Mapping[str, TextArray]:
    roster, person, schools = rows.roster, rows.person, rows.frame.schools
    stage, category = roster.stage[person], roster.category[person]
    stage_words = take(_labels("stage", _STAGE_CODES), stage)
    kinds = code_list("school_type").labels
    place, local = np.unique(rows.school, return_inverse=True)
    names, codes = schools.names(rows.year)[place], schools.code[place]
    full_time = category == FULL_TIME
    special = np.isin(_subject(rows), [*vocab.PHYSICAL, *vocab.MUSIC, *vocab.ART]) & full_time
    return {
        "校名": take(names.tolist(), local),
        "学校类型": take([kinds[kind] for kind in schools.type_code[place]], local),
        "统一社会信用代码": take([f"12500{code}MB00{int(code) % 10}" for code in codes], local),
        "学校标识码": take(codes.tolist(), local),
        "区域": repeat(roster.area.name, len(person)),
        "统计年度": repeat(str(rows.year), len(person)),
        "岗位类别": take(_labels("post_category", _CATEGORY_CODES), category),
        "任教学段": stage_words,
        "编制所在学段": stage_words,
        "在岗状态": take(_labels("duty_status", ("in_post", "retired")), rows.retired),
        "是否音体美专任教师": _yes_no(special),
        "是否双师型": _yes_no(dual_qualified(roster, person, rows.year)),
        "是否专业课教师": _yes_no(professional(roster, person)),
        "身份证件类型": repeat(_labels("id_type", ("1",))[0], len(person)),
        "骨干教师": take(
            [label + "骨干教师" if label else "" for label in _labels("backbone", _BACKBONE)], backbone(roster, person)
        ),
        "教师身份": repeat("编外聘用教师", len(person)),
        "备注": repeat(SYNTHETIC_ZH, len(person)),
    }


def _subject(rows: Rows) -> Texts:
    """Main subject of each row; '' for those who do not teach."""
    stage, number = rows.roster.stage[rows.person], rows.roster.subject[rows.person]
    result = np.full(len(rows.person), "", dtype=object)
    for index, subjects in enumerate(vocab.SUBJECTS):
        chosen = (stage == index) & (rows.roster.category[rows.person] == FULL_TIME)
        result[chosen] = np.array(subjects, dtype=object)[number[chosen]]
    return result


def _person(rows: Rows) -> Mapping[str, TextArray]:
    roster, person, people = rows.roster, rows.person, rows.people
    birth = EPOCH + roster.birth[person].astype("timedelta64[D]")
    born = birth.astype("datetime64[Y]").astype(np.int64) + 1970
    age = rows.year - born - (birth.astype("datetime64[M]").astype(np.int64) % 12 >= 8)
    nation = (roster.luck[person, 5] < (0.55 if roster.area.ethnic else 0.04)) * (1 + (roster.birth[person] % 2))
    return {
        "姓名": text(people.name[person]),
        "身份证号": text(people.id_number[person]),
        "性别": take(("女", "男"), roster.male[person]),
        "民族": take(vocab.NATIONS, nation),
        "籍贯": take([f"重庆{area.short}" for area in areas()], roster.birth[person] % 7 // 6 * roster.area.index),
        "婚姻状况": take(("未婚", "已婚"), age > 27),
        "政治面貌": take(("群众", "中共党员", "共青团员"), np.where(age < 28, 2, roster.luck[person, 6] < 0.35)),
        "年龄": digits(age),
    }


@cache
def _months(month: str) -> tuple[str, ...]:
    """Texts ``1950-MM`` to ``2049-MM``."""
    return tuple(f"{year}-{month}" for year in range(1950, 2050))


def _career(rows: Rows) -> Mapping[str, TextArray]:
    roster, person = rows.roster, rows.person
    joined = np.minimum(roster.joined[person], rows.year)
    years = np.maximum(rows.year - joined, 0)
    rank = np.minimum((years + 8 * roster.luck[person, 7]) // 7, 4).astype(np.int64)
    rank = np.where((rank == 4) & (roster.luck[person, 8] < 0.03), 5, rank)
    titles = take(_labels("title", _TITLES), np.where(roster.category[person] == FULL_TIME, rank, 0))
    leader = (roster.category[person] == 1) & (roster.luck[person, 8] < 0.2)
    start = take(_months("08"), joined - 1950)
    return {
        "参加工作时间": start,
        "进入本区教育系统时间": start,
        "入编时间": start,
        "入现单位时间": take(_months("09"), np.maximum(joined, rows.year - 9) - 1950),
        "行政职务": take(("", "副校长"), leader),
        "任教年级": take(
            ("", "一年级", "二年级", "三年级"), np.where(roster.category[person] == FULL_TIME, 1 + person % 3, 0)
        ),
        "主教学科": text(_subject(rows)),
        "最高职称": titles,
        "现聘职称": titles,
        "专业技术岗位": take(("", "十二级", "十级", "八级", "六级", "四级"), rank),
    }


def _schooling(rows: Rows) -> Mapping[str, TextArray]:
    roster, person, year = rows.roster, rows.person, rows.year
    level = education(roster, person, year)
    first = education(roster, person, MODEL_YEARS[0])
    joined = np.minimum(roster.joined[person], year)
    school = np.where(level >= 3, 4 + person % 2, person % 4)
    stage = roster.stage[person]
    certificate = np.where((roster.luck[person, 9] < 0.1) & (stage > PRESCHOOL) & (stage < 3), stage + 1, stage)
    without = roster.luck[person, 9] > np.where(stage == PRESCHOOL, 0.97 + 0.004 * (year - 2020), 0.998)
    teaches = roster.category[person] == FULL_TIME
    certified = teaches & ~without
    stages = ["", *_labels("stage", _STAGE_CODES)]
    majors = take(vocab.MAJORS, person % len(vocab.MAJORS))
    return {
        "参加工作前学历": take(_labels("education", _DEGREES), first),
        "参加工作前毕业院校": take([name for _, name in vocab.UNIVERSITIES], school),
        "参加工作前毕业院校代码": take([code for code, _ in vocab.UNIVERSITIES], school),
        "参加工作前毕业时间": take(_months("06"), joined - 1950),
        "参加工作前所学专业": majors,
        "最高学历": take(_labels("education", _DEGREES), level),
        "最高学位": take(("博士", "硕士", "学士", "", "", ""), level),
        "最高学历毕业院校": take([name for _, name in vocab.UNIVERSITIES], school),
        "最高学历所学专业": majors,
        "普通话水平": take(("二级甲等", "二级乙等", "一级乙等"), person % 3),
        "教师资格学段": take(stages, np.where(certified, certificate + 1, 0)),
        "教师资格学科": text(np.where(certified, _subject(rows), "")),
    }


def _private(rows: Rows) -> Mapping[str, TextArray]:
    """Columns that must be dropped unread: address, telephone numbers, emergency contact."""
    people, person = rows.people, rows.person
    street = take([f"{rows.roster.area.name}{street}" for street in vocab.STREETS], person % len(vocab.STREETS))
    number = digits(1 + person % 288)
    return {
        "常住地址": join([street, number, repeat("号", len(person))], ""),
        "手机号": text(people.phone[person]),
        "紧急联系人": text(people.other_name[person]),
        "与紧急联系人的关系": take(("配偶", "父母", "子女"), person % 3),
        "紧急联系方式": text(people.other_phone[person]),
    }
