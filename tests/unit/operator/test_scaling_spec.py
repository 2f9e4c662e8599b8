"""What may stand in `spec.scaling`, where the schema alone does not know: times and their zones."""

import pytest
from pydantic import ValidationError
from tailrace_operator.resources import StreamingModel


def faults(document):
    with pytest.raises(ValidationError) as caught:
        StreamingModel.parse(document)
    return [error["msg"] for error in caught.value.errors()]


def scheduled(make, **line):
    return make.document(scaling={"schedule": [{"start": "0 8 * * *", "end": "0 18 * * *", "minReplicas": 1, **line}]})


@pytest.mark.parametrize("line", ["0 8 * * MON-FRI", "*/15 0-6,22 1 JAN *", "59 23 31 12 SUN", "0 0 29 2 *"])
def test_cron_times_that_come(make, line):
    spec = StreamingModel.parse(scheduled(make, start=line, end=line)).spec
    assert spec.scaling.schedule[0].start == line


@pytest.mark.parametrize("line", ["60 8 * * *", "0 24 * * *", "0 0 32 * *", "0 8 * * FUNDAY", "0 0 30 2 *"])
@pytest.mark.parametrize("field", ["start", "end"])
def test_what_is_no_cron_time_is_named_with_one_that_is(make, field, line):
    (fault,) = faults(scheduled(make, **{field: line}))
    assert line in fault
    assert "write minute, hour, day, month and weekday, like '0 8 * * MON-FRI'" in fault


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/St_Johns"])
def test_time_zones_that_there_are(make, name):
    assert StreamingModel.parse(scheduled(make, timeZone=name)).spec.scaling.schedule[0].time_zone == name


@pytest.mark.parametrize("name", ["Mars/Olympus", "CEST!", "../etc/passwd", "/etc/localtime"])
def test_other_time_zones_are_named_with_the_database_that_has_them(make, name):
    (fault,) = faults(scheduled(make, timeZone=name))
    assert name in fault
    assert "a name of the IANA database, like 'Europe/Berlin'" in fault
