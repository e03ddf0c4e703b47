# SPDX-License-Identifier: Apache-2.0
"""I/O limits, what operators set up, models."""

import pytest

from ismsim.entities import IoLimit
from ismsim.messages import Id
from ismsim.models import limits_for

LIMIT = 'iSMioc setlimit -ldname LX:a '


def test_limits_keep_what_is_omitted(bench):
    bench.bind('a', 0)
    bench.ok(LIMIT + '-upperlimit 5000 -lowerlimit 200')
    bench.ok(LIMIT + '-upperreport on')
    bench.ok(LIMIT + '-lowerlimit 0')
    assert bench.ld('a').limit == IoLimit(5000, 0, True)


@pytest.mark.parametrize('rest, ident', [
    ('-upperlimit 9', Id.LIMIT_RANGE), ('-lowerlimit 1', Id.LIMIT_RANGE),
    ('-upperlimit 1000001', Id.LIMIT_RANGE),
    ('-upperlimit 10 -lowerlimit 11', Id.LIMIT_RANGE),
    ('', Id.BAD_VALUE)])
def test_limits_that_are_refused(bench, rest, ident):
    bench.bind('a', 0)
    bench.refused((LIMIT + rest).strip(), ident)


@pytest.mark.parametrize('value', [0, 10, 1_000_000])
def test_the_ends_of_the_range(bench, value):
    bench.bind('a', 0)
    bench.ok(f'{LIMIT}-upperlimit {value} -lowerlimit {value}')


def test_limits_need_an_ld_and_a_licence(bench, make_bench, tmp_path):
    bench.refused(LIMIT + '-upperlimit 10', Id.NO_LD)
    bare = make_bench('bare', tmp_path / 'bare')
    bare.bind('a', 0)
    bare.refused(LIMIT + '-upperlimit 10', Id.NO_LICENCE)


def test_initial_limits(bench):
    bench.bind('before', 0)
    bench.ok('iSMioc setdfllimit -upperlimit 3000 -lowerlimit 100')
    bench.bind('after', 1)
    assert bench.ld('before').limit == IoLimit()
    assert bench.ld('after').limit == IoLimit(3000, 100)
    bench.ok('iSMioc setlimit -ldname LX:after -upperlimit 0 '
             '-lowerlimit 0')
    assert bench.ld('after').limit == IoLimit()


def test_an_array_is_set_up(make_bench):
    bench = make_bench('bare')
    for licence in ('DynamicDataReplication', 'Snapshot'):
        bench.ok(f'iSMcfg licenserelease -key {licence}')
    bench.refused('iSMcfg licenserelease -key Free', Id.BAD_VALUE)
    bench.ok('iSMcfg poolbind -poolnumber 2 -poolname new -capacity 500')
    bench.refused('iSMcfg poolbind -poolnumber 2 -poolname new '
                  '-capacity 500', Id.POOL_USED)
    bench.ok('iSMcfg srabind -poolnumber 2 -capacity 100')
    bench.refused('iSMcfg srabind -poolnumber 2 -capacity 100',
                  Id.SRA_USED)
    bench.refused('iSMcfg sraexpand -poolnumber 0 -capacity 200',
                  Id.NO_SRA)
    bench.refused('iSMcfg sraexpand -poolnumber 2 -capacity 100',
                  Id.NOT_LARGER)
    bench.refused('iSMcfg sraexpand -poolnumber 2 -capacity 501',
                  Id.POOL_FULL)
    bench.ok('iSMcfg sraexpand -poolnumber 2 -capacity 200')
    bench.ok('iSMcfg setiscsiport -port 00-02 -ipaddress 10.0.0.1')
    bench.refused('iSMcfg setiscsiport -port 00-00 -ipaddress 10.0.0.1',
                  Id.NO_PORT)
    bench.ok('iSMcfg startacc')
    assert bench.array.store.ports['00-02'].ip == '10.0.0.1'
    assert bench.array.settings.access_control


# ISMCLI.md C, and the driver manual's matrix in 2.4.
@pytest.mark.parametrize('model, lds, sessions, per_port, portals', [
    ('M110', 1024, 2048, 256, 8), ('M310', 4096, 8192, 1024, 8),
    ('M310F', 4096, 8192, 1024, 8), ('M510', 4096, 16384, 1024, 16),
    ('M710', 8192, 24576, 1024, 24), ('M710F', 8192, 24576, 1024, 24)])
def test_models(model, lds, sessions, per_port, portals):
    limits = limits_for(model)
    assert (limits.lds, limits.sessions_per_array,
            limits.sessions_per_port, limits.portals_per_ldset) == (
                lds, sessions, per_port, portals)


def test_versions():
    assert limits_for('M310', '9.0.001').lds_per_ldset == 512
    assert limits_for('M310', '9.1.001').lds_per_ldset == 1024
    assert limits_for('M310', '10.1.001').lds_per_ldset == 1024
    assert limits_for('M310', firmware='0979').lds_per_pool == 1024
    assert limits_for('M320').lds == 8192


def test_an_unknown_limit_is_an_error():
    with pytest.raises(ValueError, match='frobs is not one of'):
        limits_for('M310', overrides={'frobs': 1})
