"""The 2020/21 school profile form (基础基111), its continuation (基础基112) and the cover, as label positions.

Belongs here: where the labels of the blank form stand, counted without the letter row and the number column that some
exports add. Rows and columns are 0-based. Does not belong here: the forms that are plain tables (``school_workbooks``
builds those from the contract).
Source: the blank 基础教育基层统计调查表 of 2020/21 (国统制〔2018〕86号).
"""

from dataclasses import dataclass

TITLE = "基础教育学校（机构）统计调查表"
APPROVAL = "制定机关：教       育       部\n批准机关：国   家  统   计  局\n批准文号：国统制 【2018】 86号"
WIDTH = 10


@dataclass(frozen=True)
class Label:
    """A label with the cells it is merged over (``right`` columns and ``down`` rows more)."""

    row: int
    column: int
    text: str
    right: int = 0
    down: int = 0


_ATTACHED = (
    ("附设幼儿班", "119"),
    ("附设小学班", "219"),
    ("附设普通初中班", "319"),
    ("附设职业初中班", "329"),
    ("附设普通高中班", "349"),
    ("附设特教班", "519"),
    ("附设中职班", "368"),
)
FIRST_ATTACHED_ROW = 20

PROFILE_LABELS: tuple[Label, ...] = (
    Label(4, 0, "学校标识码", right=1),
    Label(4, 2, "学校（机构）名称（章）", right=3),
    Label(4, 6, "学校（机构）英文名称", right=3),
    Label(6, 0, "续"),
    Label(7, 2, "学校（机构）地址", right=2),
    Label(7, 5, "学校（机构）所在地城乡类型"),
    Label(7, 6, "学校（机构）属地管理教育行政部门", right=3),
    Label(8, 0, "名称", right=1),
    Label(9, 0, "代码", right=1),
    Label(10, 0, "续"),
    Label(11, 2, "学校（机构）办学类型"),
    Label(11, 3, "学校（机构）举办者", right=1),
    Label(11, 5, "学校（机构）性质类别"),
    Label(11, 6, "规定年制", right=1),
    Label(11, 8, "规定入学年龄", right=1),
    Label(12, 0, "名称", right=1),
    Label(12, 5, "*"),
    Label(12, 6, "小学"),
    Label(12, 8, "小学"),
    Label(13, 0, "代码", right=1),
    Label(13, 5, "*"),
    Label(13, 6, "初中"),
    Label(13, 8, "初中"),
    Label(14, 0, "续"),
    Label(15, 0, "邮政编码", right=1),
    Label(15, 3, "校园（局域）网域名", right=1),
    Label(15, 6, "校（园）长（签章）"),
    Label(15, 7, "填表人"),
    Label(15, 8, "学校（机构）所在地", right=1),
    Label(16, 0, "办公电话", right=1),
    Label(16, 3, "单位电子信箱", right=1),
    Label(16, 8, "经度"),
    Label(16, 9, "纬度"),
    Label(17, 0, "传真电话", right=1),
    Label(17, 3, "填表人电子信箱", right=1),
    Label(18, 0, "续"),
    Label(19, 2, "学校（机构）举办者"),
    Label(19, 3, "学校（机构）属地管理教育行政部门", right=1),
    Label(19, 5, "学校（机构）地址"),
    Label(19, 6, "规定年制", right=1),
    Label(19, 8, "规定入学年龄", right=1),
    *(
        label
        for number, (name, code) in enumerate(_ATTACHED)
        for label in (
            Label(FIRST_ATTACHED_ROW + 2 * number, 0, "名称"),
            Label(FIRST_ATTACHED_ROW + 2 * number, 1, name),
            Label(FIRST_ATTACHED_ROW + 2 * number + 1, 0, "代码"),
            Label(FIRST_ATTACHED_ROW + 2 * number + 1, 1, code),
        )
    ),
)
# profile field -> (row, column, columns merged to the right) of its value
PROFILE_PLACES: dict[str, tuple[int, int, int]] = {
    "school_code": (5, 0, 1),
    "school_name": (5, 2, 3),
    "address_zh": (8, 2, 2),
    "urban_rural_zh": (8, 5, 0),
    "authority_zh": (8, 6, 3),
    "address_code": (9, 2, 2),
    "urban_rural_code": (9, 5, 0),
    "authority_code": (9, 6, 3),
    "school_type_zh": (12, 2, 0),
    "organiser_zh": (12, 3, 1),
    "school_type_code": (13, 2, 0),
    "organiser_code": (13, 3, 1),
    "primary_years": (12, 7, 0),
    "primary_age": (12, 9, 0),
    "junior_years": (13, 7, 0),
    "junior_age": (13, 9, 0),
    "post_code": (15, 2, 0),
    "head_name": (16, 6, 0),
    "clerk_name": (16, 7, 0),
    "office_phone": (16, 2, 0),
    "email": (16, 5, 0),
    "longitude": (17, 8, 0),
    "latitude": (17, 9, 0),
}

# 基础基112: item by number, unit and the school types it applies to
ITEMS: tuple[tuple[str, str, str], ...] = (
    ("乡镇中心幼儿园", "", "幼儿园"),
    ("乡镇中心小学", "", "小学"),
    ("附属学校（园）", "", "幼儿园、中、小学"),
    ("附属于高校(机构)名称", "", "幼儿园、中、小学"),
    ("体育运动场（馆）面积是否达标", "", "中、小学"),
    ("体育器械配备是否达标", "", "中、小学"),
    ("音乐器材配备是否达标", "", "中、小学"),
    ("美术器材配备是否达标", "", "中、小学"),
    ("数学自然实验仪器是否达标（小学）", "", "小学"),
    ("理科实验仪器是否达标（中学）", "", "中学"),
    ("是否通电", "", "幼儿园、中、小学、特教"),
    ("建立校园网", "", "中、小学"),
    ("接入互联网", "", "中、小学"),
    ("接入互联网出口带宽", "（Mbps）", "中、小学"),
    ("校医院（卫生室）", "", "中、小学"),
    ("专职校医", "", "中、小学"),
    ("专职保健人员", "", "中、小学"),
    ("少数民族双语教学班", "", "幼儿园、中、小学"),
    ("双语教学的少数民族语言", "", "幼儿园、中、小学"),
    ("上学年体检学生数", "人", "中、小学"),
    ("上学年参加国家学生体质健康标准测试人数", "人", "中、小学"),
    ("优秀", "人", "中、小学"),
    ("良好", "人", "中、小学"),
    ("及格", "人", "中、小学"),
    ("不及格", "人", "中、小学"),
    ("县级及以上骨干教师（小学）", "人", "小学"),
    ("县级及以上骨干教师（初中）", "人", "初中"),
    ("县级及以上骨干教师（高中）", "人", "高中"),
    ("安全保卫人员", "人", "幼儿园、中、小学、特教"),
    ("心理健康教育教师", "人", "中、小学"),
    ("其中：专职", "人", "中、小学"),
    ("心理辅导室", "", "中、小学、特教、工读"),
    ("预防艾滋病教育和性教育相关课程和活动", "", "中学"),
    ("校园足球场", "个", "中、小学"),
    ("11人制足球场", "个", "中、小学"),
    ("7人制足球场", "个", "中、小学"),
    ("5人制足球场", "个", "中、小学"),
    ("学校供水方式  1. 自备水源  2. 网管供水  3. 无水源", "", "幼儿园、中、小学、特教"),
    ("学校厕所情况  1. 卫生厕所  2. 非卫生厕所  3. 无厕所", "", "幼儿园、中、小学、特教"),
    ("洗手设施  1. 有水和肥皂  2. 只有水  3. 既没有水也没有肥皂", "", "幼儿园、中、小学、特教"),
    ("政府购买学位数", "", "中、小学（民办学校）"),
    ("其中：用于进城务工人员随迁子女的学位数", "", "中、小学（民办学校）"),
)
# Items answered with yes for every school (power, internet connection) or with a fixed choice.
FIXED_ITEMS = {11: "是", 12: "是", 13: "是", 14: "200", 38: "2", 39: "1", 40: "1"}
GUARDS_ITEM = 29
