select
    stat_year,
    school_code,
    {{ form_stage('form') }} as stage,
    measure,
    value,
    delivery_id,
    member,
    sheet,
    row_no,
    source_cell
from {{ source('records', 'school_census__figure') }}
where
    form in ('2105', '2106', '2107', '2108', '3111', '3112', '3115', '3118', '3120', '3221')
    and measure in (
        'enrolment', 'entrants', 'graduates', 'leavers', 'female', 'class_total', 'classes_total',
        'band_le25', 'band_26_30', 'band_31_35', 'band_36_40', 'band_41_45',
        'band_46_50', 'band_51_55', 'band_56_60', 'band_61_65', 'band_ge66'
    )
