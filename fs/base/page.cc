// SPDX-License-Identifier: MIT
// A pool of pages carved from large chunks: glibc wastes up to a page for each aligned page.
#include "fs/base/page.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <vector>

namespace exo {

namespace {

#if defined(__has_feature)  // clang's way to say it
#if __has_feature(address_sanitizer)
#define EXO_PAGES_APART
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(EXO_PAGES_APART)
// Each page its own allocation, so that the sanitizer sees misuse.
Page* take_page() {
    return new Page;
}
void give_page(Page* page) {
    delete page;
}
#else
constexpr size_t kChunkPages = 256;

struct Pool {
    std::mutex mutex;  // guards free
    std::vector<Page*> free;
};
Pool& pool() {
    static Pool* instance = new Pool;  // outlives every static that may hold a page
    return *instance;
}
Page* take_page() {
    Pool& p = pool();
    std::lock_guard lock(p.mutex);
    if (p.free.empty()) {
        void* chunk = mmap(nullptr, kChunkPages * sizeof(Page), PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (chunk == MAP_FAILED) throw std::bad_alloc();
        for (size_t i = kChunkPages; i-- > 0;) p.free.push_back(static_cast<Page*>(chunk) + i);
    }
    Page* page = p.free.back();
    p.free.pop_back();
    return page;
}
void give_page(Page* page) {
    Pool& p = pool();
    std::lock_guard lock(p.mutex);
    p.free.push_back(page);
}
#endif

}  // namespace

MutablePageRef allocate_page() {
    return MutablePageRef(take_page(), give_page);
}

MutablePageRef allocate_zero_page() {
    auto page = allocate_page();
    memset(page->bytes, 0, sizeof page->bytes);
    return page;
}

AlignedBuffer allocate_aligned(size_t length_bytes) {
    void* memory = aligned_alloc(kBlockBytes, length_bytes);
    if (!memory) throw std::bad_alloc();
    return AlignedBuffer(static_cast<std::byte*>(memory));
}

}  // namespace exo
