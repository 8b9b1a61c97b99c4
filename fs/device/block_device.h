// SPDX-License-Identifier: MIT
// What the file system asks of storage: aligned reads, writes, flush and discard at byte offsets.
// Implementations are thread-safe. A write is durable only after a later flush, or when it was
// sent with kWriteThrough; the order of unflushed writes is not promised.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "fs/base/result.h"

namespace exo {

enum class IoKind : uint8_t { kRead, kWrite, kWriteThrough };

// One contiguous range of the device. Offset and every iovec's length are multiples of
// kIoAlignment; addresses may be anything (an implementation that needs alignment bounces).
struct IoRequest {
    IoKind kind;
    uint64_t offset_bytes;
    std::span<const iovec> buffers;
};

class BlockDevice {
  public:
    static constexpr size_t kIoAlignment = 4096;

    virtual ~BlockDevice() = default;

    // Runs the requests concurrently in any order and returns when all have ended; the first error
    // is reported. Requests of one call must not overlap.
    virtual Result<> run(std::span<const IoRequest> requests) = 0;
    // Everything written before the call is durable after it.
    virtual Result<> flush() = 0;
    // A hint that the range's content is no longer needed. Not an error where unsupported.
    virtual Result<> discard(uint64_t offset_bytes, uint64_t length_bytes) = 0;
    // A hint that the range may be read soon: where another's cache lies below, it may go there.
    virtual void expect(uint64_t /*offset_bytes*/, uint64_t /*length_bytes*/) {}

    virtual uint64_t size_bytes() const = 0;
    virtual uint32_t logical_block_bytes() const = 0;
    virtual bool read_only() const = 0;
    virtual const std::string& name() const = 0;  // path, for messages
    virtual int fd() const { return -1; }         // of the device, for attaching the module

    Result<> read(uint64_t offset_bytes, void* buffer, size_t length_bytes);
    Result<> write(uint64_t offset_bytes, const void* buffer, size_t length_bytes,
                   IoKind kind = IoKind::kWrite);
};

}  // namespace exo
