from ipaddress import IPv4Network
from itertools import combinations

import pytest

from hms.cluster.addresses import INDEXES, MAXIMUM_NODES, Addresses
from hms.cluster.preflight import free_index, parse_routes
from hms.errors import ClusterError


def ranges(addresses: Addresses) -> list[IPv4Network]:
    return [addresses.nodes, addresses.pods, addresses.services]


def test_no_two_ranges_of_any_clusters_overlap() -> None:
    everything = [network for index in INDEXES for network in ranges(Addresses(index))]

    assert not [pair for pair in combinations(everything, 2) if pair[0].overlaps(pair[1])]


def test_every_node_has_an_address_and_pods_of_its_own_within_the_clusters() -> None:
    addresses = Addresses(3)
    numbers = range(1, MAXIMUM_NODES + 1)

    assert len({addresses.node(number) for number in numbers} | {addresses.control}) == MAXIMUM_NODES + 1
    assert all(addresses.node(number) in addresses.nodes for number in numbers)
    assert all(addresses.node_pods(number).subnet_of(addresses.pods) for number in numbers)
    assert len({addresses.node_pods(number) for number in numbers}) == MAXIMUM_NODES


def test_a_link_address_is_locally_administered_unicast() -> None:
    first_octet = int(Addresses(7).link(9).split(":")[0], 16)

    assert first_octet & 0b11 == 0b10


ROUTES = """\
default via 192.0.2.1 dev eth0
192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.2
10.89.0.0/16 dev docker0 proto kernel scope link src 10.89.0.1
unreachable 10.64.0.0/12
local 127.0.0.0/8 dev lo table local proto kernel scope host src 127.0.0.1
broadcast 192.0.2.255 dev eth0 table local proto kernel scope link src 192.0.2.2
"""


def test_routes_of_every_kind_are_read_and_the_default_is_not_a_use() -> None:
    assert parse_routes(ROUTES) == [
        IPv4Network("192.0.2.0/24"),
        IPv4Network("10.89.0.0/16"),
        IPv4Network("10.64.0.0/12"),
        IPv4Network("127.0.0.0/8"),
        IPv4Network("192.0.2.255/32"),
    ]
    assert not Addresses(0).conflicts([IPv4Network("0.0.0.0/0")])


def test_the_first_free_index_is_chosen() -> None:
    assert free_index([], []) == 0
    assert free_index([0, 1], [IPv4Network("10.102.7.0/24")]) == 3


def test_a_used_range_is_refused_by_name() -> None:
    with pytest.raises(ClusterError) as refused:
        free_index([0], [IPv4Network("10.89.0.0/16")])

    assert "10.89.0.0/24: another test cluster has it" in str(refused.value)
    assert "10.89.0.0/16 overlaps 10.89.7.0/24 (nodes)" in str(refused.value)
    assert "hms cluster down" in str(refused.value)
