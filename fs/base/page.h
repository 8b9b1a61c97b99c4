// SPDX-License-Identifier: MIT
// Block-sized, block-aligned memory, recycled, because caches allocate and drop it all the time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace exo {

inline constexpr size_t kBlockBytes = 4096;
using BlockNo = uint64_t;

struct BlockRun {
    BlockNo start;
    uint64_t count;
};

struct alignas(kBlockBytes) Page {
    std::byte bytes[kBlockBytes];
    template <typename T>
    T* as() {
        static_assert(sizeof(T) <= kBlockBytes && alignof(T) == 1);
        return reinterpret_cast<T*>(bytes);
    }
    template <typename T>
    const T* as() const {
        static_assert(sizeof(T) <= kBlockBytes && alignof(T) == 1);
        return reinterpret_cast<const T*>(bytes);
    }
};

using PageRef = std::shared_ptr<const Page>;
using MutablePageRef = std::shared_ptr<Page>;

MutablePageRef allocate_page();  // content undefined
MutablePageRef allocate_zero_page();

// A larger aligned buffer, for data.
struct FreeDeleter {
    void operator()(void* memory) const { free(memory); }
};
using AlignedBuffer = std::unique_ptr<std::byte[], FreeDeleter>;
AlignedBuffer allocate_aligned(size_t length_bytes);  // length: a multiple of kBlockBytes

}  // namespace exo
