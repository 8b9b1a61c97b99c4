// SPDX-License-Identifier: MIT
// B+-tree index files: build one, look keys up in it, through the kernel or by plain reads.
#pragma once

#include <exo/file.hpp>
#include <exo/result.hpp>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace exo::inline v0 {

// Collects records and writes them as an index.
// REQUIRES: finish() on an empty regular file that is open for writing.
class IndexBuilder {
  public:
    static Result<IndexBuilder> make(exo_index_builder_options options = {}) {
        options.size = sizeof(options);
        exo_index_builder* builder = nullptr;
        int error = exo_index_builder__new(&options, &builder);
        if (error < 0) return last_error(error);
        return IndexBuilder(builder);
    }
    Result<> add(std::string_view key, std::string_view value) {
        return check(exo_index_builder__add(builder_.get(), key.data(), key.size(), value.data(),
                                            value.size()));
    }
    Result<exo_index_info> finish(const File& file) {
        exo_index_info info = {};
        int error = exo_index_builder__finish(builder_.get(), file.fd(), &info, sizeof(info));
        if (error < 0) {
            return std::unexpected(Error{-error, file.path() + ": " + exo_last_error(), {}});
        }
        return info;
    }

  private:
    explicit IndexBuilder(exo_index_builder* builder) : builder_(builder) {}
    struct Freer {
        void operator()(exo_index_builder* builder) const { exo_index_builder__free(builder); }
    };
    std::unique_ptr<exo_index_builder, Freer> builder_;
};

// Lookups may run in several threads at once.
class Index {
  public:
    static Result<Index> open(const File& file, exo_index_options options = {}) {
        options.size = sizeof(options);
        if (!options.name) options.name = file.path().c_str();
        exo_index* index = nullptr;
        int error = exo_index__open(file.fd(), &options, &index);
        if (error < 0) return last_error(error);
        return Index(index);
    }
    exo_index_info info() const {
        exo_index_info info = {};
        exo_index__info(index_.get(), &info, sizeof(info));
        return info;
    }
    // The value, or nothing if there is no such key. `how` receives the hops it took.
    Result<std::optional<std::string>> lookup(std::string_view key,
                                              exo_lookup* how = nullptr) const {
        std::string value(info().max_value_bytes, '\0');
        exo_lookup lookup = {};
        lookup.size = sizeof(lookup);
        lookup.value = value.data();
        lookup.value_capacity = value.size();
        int answer = exo_index__lookup(index_.get(), key.data(), key.size(), &lookup);
        if (how) {
            *how = lookup;
            how->value = nullptr;
        }
        if (answer < 0) return last_error(answer);
        if (answer == 0) return std::nullopt;
        value.resize(lookup.value_len);
        return value;
    }
    using Answer = Result<std::optional<std::string>>;
    // An answer for each of many keys, in kernel mode with one entry into the kernel for every
    // EXO_INDEX_BATCH of them. Of several errors only the first has more than its code to say.
    std::vector<Answer> lookup_batch(std::span<const std::string> keys,
                                     std::vector<exo_lookup>* how = nullptr) const {
        // What the values need is known once they are found; until then each has the most there is.
        const size_t room = info().max_value_bytes;
        auto values = std::make_unique_for_overwrite<char[]>(keys.size() * room);
        std::vector<exo_lookup> lookups(keys.size());
        std::vector<exo_index_query> queries(keys.size());
        for (size_t at = 0; at < keys.size(); at++) {
            lookups[at].size = sizeof(exo_lookup);
            lookups[at].value = values.get() + at * room;
            lookups[at].value_capacity = room;
            queries[at].key = keys[at].data();
            queries[at].key_len = keys[at].size();
            queries[at].lookup = &lookups[at];
        }
        int first = exo_index__lookup_batch(index_.get(), queries.data(), queries.size());
        std::string message = first < 0 ? exo_last_error() : "";
        std::vector<Answer> answers(keys.size());
        for (size_t at = 0; at < keys.size(); at++) {
            int code = -queries[at].answer;
            if (queries[at].answer == 1) {
                answers[at] = std::string(values.get() + at * room, lookups[at].value_len);
            } else if (code > 0 && !message.empty()) {
                answers[at] = std::unexpected(Error{code, std::exchange(message, {}), {}});
            } else if (code > 0) {
                answers[at] =
                    std::unexpected(Error{code, std::generic_category().message(code), {}});
            }
            lookups[at].value = nullptr;
        }
        if (how) *how = std::move(lookups);
        return answers;
    }
    // Calls each(key, value) in key order from a key on, until it returns false.
    template <typename Each>
    Result<> scan(std::string_view from, Each each) const {
        auto call = [](const void* key, size_t key_len, const void* value, size_t value_len,
                       void* context) {
            std::string_view key_view(static_cast<const char*>(key), key_len);
            std::string_view value_view(static_cast<const char*>(value), value_len);
            return (*static_cast<Each*>(context))(key_view, value_view) ? 0 : 1;
        };
        return check(exo_index__scan(index_.get(), from.data(), from.size(), call, &each));
    }
    Result<> verify() const { return check(exo_index__verify(index_.get())); }

  private:
    explicit Index(exo_index* index) : index_(index) {}
    struct Closer {
        void operator()(exo_index* index) const { exo_index__close(index); }
    };
    std::unique_ptr<exo_index, Closer> index_;
};

}  // namespace exo::inline v0
