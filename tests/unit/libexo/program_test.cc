// SPDX-License-Identifier: MIT
// The lookup program's own BPF code, verified and run by this machine's kernel, with the test in
// the module's place: it hands over blocks and follows exo_read(). Skipped where BPF cannot be
// loaded.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/exo.h>

#include <cstring>
#include <memory>
#include <optional>

#include "index_support.h"

namespace {

// As in btree_lookup_sim.bpf.c.
struct Sim {
    exo_hop hop;
    uint64_t read_offset;
    uint64_t value;
    uint32_t read_len;
    uint32_t reported_len;
    int32_t verdict;
    uint32_t reserved;
};

class Simulation {
  public:
    Simulation() {
        libbpf_set_print(nullptr);
        object_.reset(bpf_object__open_file(SIM_OBJECT, nullptr));
        if (!object_) FAIL("cannot open " SIM_OBJECT);
        error_ = bpf_object__load(object_.get());
        if (error_) return;
        program_ = bpf_program__fd(bpf_object__find_program_by_name(object_.get(), "one_hop"));
        block_ = map("sim_block");
        args_ = map("sim_args");
        result_ = map("sim_result");
        state_ = map("sim_state");
    }
    int load_error() const { return error_; }

    // Runs a whole traversal. Negative: the program's error.
    int lookup(const exo::File& file, const exo_index_header& header, const std::string& key,
               std::optional<std::string>& value, uint32_t& hops) {
        std::string args(EXO_BTREE_ARGS_LONG, '\0');
        exo_btree_args head = {header.node.build_id, header.root_level, uint32_t(key.size())};
        std::memcpy(args.data(), &head, sizeof head);
        key.copy(args.data() + sizeof head, key.size());
        set(args_, args.data());
        std::string result(EXO_BTREE_RESULT_LARGE, '\0');
        set(result_, result.data());
        Sim sim = {};
        sim.hop.args_len =
            key.size() <= EXO_BTREE_KEY_SHORT ? EXO_BTREE_ARGS_SHORT : EXO_BTREE_ARGS_LONG;
        sim.hop.result_len = header.max_value_bytes > EXO_INDEX_INLINE_MAX ? EXO_BTREE_RESULT_LARGE
                                                                           : EXO_BTREE_RESULT_SMALL;
        sim.read_offset = header.root_offset;
        for (hops = 0; hops < 64;) {
            char block[EXO_INDEX_NODE_BYTES] = {};
            if (pread(file.fd(), block, sizeof block, off_t(sim.read_offset)) <= 0) return -ENXIO;
            set(block_, block);
            sim.hop.offset = sim.read_offset;
            sim.hop.hop = hops++;
            set(state_, &sim);
            LIBBPF_OPTS(bpf_test_run_opts, options);
            REQUIRE(bpf_prog_test_run_opts(program_, &options) == 0);
            get(state_, &sim);
            if (sim.verdict < 0) return sim.verdict;
            if (sim.verdict == EXO_DONE) break;
            REQUIRE(sim.verdict == EXO_NEXT);
            REQUIRE(sim.read_len == EXO_INDEX_NODE_BYTES);
        }
        REQUIRE(sim.verdict == EXO_DONE);
        if (sim.value == EXO_BTREE_ABSENT) {
            value.reset();
            return 0;
        }
        get(result_, result.data());
        exo_btree_result answer;
        std::memcpy(&answer, result.data(), sizeof answer);
        REQUIRE(sim.reported_len == sizeof answer + answer.value_len);
        value = result.substr(sizeof answer, answer.value_len);
        return 0;
    }

  private:
    int map(const char* name) {
        return bpf_map__fd(bpf_object__find_map_by_name(object_.get(), name));
    }
    static void set(int map, const void* value) {
        uint32_t key = 0;
        REQUIRE(bpf_map_update_elem(map, &key, value, BPF_ANY) == 0);
    }
    static void get(int map, void* value) {
        uint32_t key = 0;
        REQUIRE(bpf_map_lookup_elem(map, &key, value) == 0);
    }

    struct Closer {
        void operator()(bpf_object* object) const { bpf_object__close(object); }
    };
    std::unique_ptr<bpf_object, Closer> object_;
    int error_ = 0;
    int program_ = -1, block_ = -1, args_ = -1, result_ = -1, state_ = -1;
};

exo_index_header header_of(const exo::File& file) {
    exo_index_header header;
    REQUIRE(pread(file.fd(), &header, sizeof header, 0) == ssize_t(sizeof header));
    return header;
}

// False, with a word why, where the kernel does not let us.
bool usable(const Simulation& simulation) {
    if (simulation.load_error() == -EPERM || simulation.load_error() == -ENOSYS) {
        MESSAGE("skipped: this machine does not allow BPF programs to be loaded");
        return false;
    }
    REQUIRE(simulation.load_error() == 0);
    return true;
}

}  // namespace

TEST_CASE("the program's lookups equal a std::map") {
    Simulation simulation;
    if (!usable(simulation)) return;
    for (size_t count : {1u, 40u, 2500u}) {
        uint64_t seed = test_seed() + count;
        CAPTURE(seed);
        Random random(seed);
        Records records;
        if (count == 1) {
            records["only"] = "one";
        } else {
            records = awkward_records(count, random);
        }
        exo::File file = build(records);
        exo_index_header header = header_of(file);
        for (const auto& [key, value] : records) {
            std::optional<std::string> found;
            uint32_t hops = 0;
            REQUIRE(simulation.lookup(file, header, key, found, hops) == 0);
            REQUIRE(found.has_value());
            REQUIRE(*found == value);
            std::string other = neighbour(key, random);
            if (other.size() > EXO_INDEX_KEY_MAX) continue;
            REQUIRE(simulation.lookup(file, header, other, found, hops) == 0);
            auto wanted = records.find(other);
            REQUIRE(found.has_value() == (wanted != records.end()));
            if (found) REQUIRE(*found == wanted->second);
        }
    }
}

TEST_CASE("the program refuses damage and other files, and ends") {
    Simulation simulation;
    if (!usable(simulation)) return;
    Random random(test_seed());
    CAPTURE(test_seed());
    Records records = awkward_records(300, random);
    exo::File file = build(records);
    exo_index_header header = header_of(file);
    std::optional<std::string> found;
    uint32_t hops = 0;

    exo_index_header elsewhere = header;
    elsewhere.root_offset = 4096;  // a leaf, where an inner node should be
    CHECK(simulation.lookup(file, elsewhere, "a", found, hops) == -EBADMSG);
    exo_index_header other = header;
    other.node.build_id++;
    CHECK(simulation.lookup(file, other, "a", found, hops) == -EBADMSG);
    exo::File text = memory_file();
    REQUIRE(ftruncate(text.fd(), lseek(file.fd(), 0, SEEK_END)) == 0);
    CHECK(simulation.lookup(text, header, "a", found, hops) == -EBADMSG);

    std::string bytes(lseek(file.fd(), 0, SEEK_END), 0);
    REQUIRE(pread(file.fd(), bytes.data(), bytes.size(), 0) == ssize_t(bytes.size()));
    int refused = 0;
    for (int round = 0; round < 200; round++) {
        std::string damaged = bytes;
        for (int i = 0; i < 20 + round; i++) {
            size_t at = 4096 + random.below(damaged.size() - 4096);
            if (random.below(2)) at = at / 4096 * 4096 + random.below(400);
            damaged[at] = char(random.below(256));
        }
        REQUIRE(pwrite(file.fd(), damaged.data(), damaged.size(), 0) == ssize_t(damaged.size()));
        for (int i = 0; i < 20; i++) {
            auto record = std::next(records.begin(), long(random.below(records.size())));
            int error = simulation.lookup(file, header, record->first, found, hops);
            REQUIRE((error == 0 || error == -EBADMSG || error == -ENXIO));
            REQUIRE(hops <= header.root_level + 1 + EXO_INDEX_OVERFLOW_NODES_MAX);
            refused += error != 0;
        }
    }
    CHECK(refused > 0);
}
