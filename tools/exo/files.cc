// SPDX-License-Identifier: MIT
#include "tools/exo/files.h"

#include <cstdio>

namespace exo::tool {

void put_bytes(Json& object, const std::string& name, std::string_view bytes) {
    try {
        const Json text = std::string(bytes);
        (void)text.dump();  // throws where it is no UTF-8
        object[name] = text;
    } catch (const Json::exception&) {
        std::string hex;
        for (unsigned char byte : bytes) {
            char pair[3];
            std::snprintf(pair, sizeof pair, "%02x", byte);
            hex += pair;
        }
        object[name + "_hex"] = hex;
    }
}

std::string printable(std::string_view bytes) {
    std::string text;
    for (unsigned char byte : bytes) {
        if (byte >= 0x20 && byte != 0x7f) {
            text += char(byte);
            continue;
        }
        char escape[5];
        std::snprintf(escape, sizeof escape, "\\x%02x", byte);
        text += escape;
    }
    return text;
}

}  // namespace exo::tool
