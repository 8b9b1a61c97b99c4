// SPDX-License-Identifier: MIT
#include "fs/format/tree_node.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>

using namespace exo;

TEST_CASE("a node equals a sorted map through random changes, and stays well-formed") {
    for (const size_t capacity : {size_t(124), size_t(256), kBodyBytes}) {
        std::mt19937_64 random(7 + capacity);
        std::vector<std::byte> area(capacity);
        TreeNodeEditor node(area.data(), capacity);
        std::map<uint64_t, std::string> model;
        for (int step = 0; step < 5000; step++) {
            const uint64_t key = random() % 300;
            const unsigned at = node.lower_bound(key);
            const bool there = at < node.count() && node.key(at) == key;
            REQUIRE(there == model.contains(key));
            if (there) {
                node.erase(at);
                model.erase(key);
            } else {
                const std::string value(random() % 40, char('a' + key % 26));
                if (!node.has_room(value.size())) continue;
                node.insert(at, key, std::as_bytes(std::span(value)));
                model[key] = value;
            }
            REQUIRE(TreeNodeView::valid(area.data(), capacity));
            REQUIRE(node.count() == model.size());
        }
        unsigned i = 0;
        for (const auto& [key, value] : model) {
            CHECK(node.key(i) == key);
            const auto stored = node.value(i++);
            CHECK(std::string(reinterpret_cast<const char*>(stored.data()), stored.size()) ==
                  value);
        }
        while (node.count() > 0) node.erase(0);
        CHECK(std::ranges::all_of(area, [](std::byte b) { return b == std::byte(0); }));
    }
}

TEST_CASE("malformed nodes are refused, whatever bytes they hold") {
    std::mt19937_64 random(11);
    std::vector<std::byte> good(256), area(256);
    TreeNodeEditor node(good.data(), good.size());
    for (uint64_t key = 0; key < 6; key++)
        node.insert(unsigned(key), key * 10, std::as_bytes(std::span("value", 5)));
    REQUIRE(TreeNodeView::valid(good.data(), good.size()));
    int accepted = 0;
    for (int round = 0; round < 20000; round++) {
        area = good;
        for (int flips = 1 + int(random() % 3); flips > 0; flips--)
            area[random() % 100] = std::byte(random());
        if (!TreeNodeView::valid(area.data(), area.size())) continue;
        accepted++;
        // Whatever passes can be walked and emptied without leaving the area.
        TreeNodeEditor victim(area.data(), area.size());
        while (victim.count() > 0) victim.erase(victim.count() / 2);
    }
    CHECK(accepted > 0);
    area.assign(256, std::byte(0xff));
    CHECK_FALSE(TreeNodeView::valid(area.data(), area.size()));
}
