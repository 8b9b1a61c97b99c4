// SPDX-License-Identifier: MIT
// Little-endian integers as they lie on disk: bytes, so no alignment and no padding.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace exo {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "exo runs on little-endian machines");

template <typename T>
class le {
  public:
    le() = default;
    le(T value) { *this = value; }
    operator T() const {
        T value;
        memcpy(&value, bytes_, sizeof value);
        return value;
    }
    le& operator=(T value) {
        memcpy(bytes_, &value, sizeof value);
        return *this;
    }

  private:
    uint8_t bytes_[sizeof(T)];
};

using le16 = le<uint16_t>;
using le32 = le<uint32_t>;
using le64 = le<uint64_t>;
using les64 = le<int64_t>;

}  // namespace exo
