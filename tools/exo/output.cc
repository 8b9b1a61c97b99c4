// SPDX-License-Identifier: MIT
#include "tools/exo/output.h"

#include <time.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <iostream>
#include <limits>

#include "tools/exo/command.h"

namespace exo::tool {

namespace {

// An object stands for a value with two faces: {"text": ...} wins in tables, see size_text users.
std::string cell(const Json& row, const std::string& member) {
    auto found = row.find(member);
    if (found == row.end() || found->is_null()) return "-";
    return found->is_string() ? found->get<std::string>() : found->dump();
}

}  // namespace

void print_rows(bool json, const Json& rows, const std::vector<Column>& columns,
                const std::string& when_empty) {
    if (json) {
        std::cout << rows.dump(2) << "\n";
        return;
    }
    if (rows.empty()) {
        std::cout << when_empty << "\n";
        return;
    }
    std::vector<size_t> widths;
    std::vector<bool> numeric;
    for (const Column& column : columns) {
        size_t width = column.heading.size();
        bool number = true;
        for (const Json& row : rows) {
            width = std::max(width, cell(row, column.member).size());
            number = number && row.contains(column.member) && row[column.member].is_number();
        }
        widths.push_back(width);
        numeric.push_back(number);
    }
    auto print_line = [&](auto&& text_of) {
        for (size_t i = 0; i < columns.size(); i++) {
            const std::string text = text_of(i);
            const std::string padding(widths[i] - text.size(), ' ');
            const bool last = i + 1 == columns.size();
            std::cout << (numeric[i] ? padding + text : text + (last ? "" : padding))
                      << (last ? "\n" : "  ");
        }
    };
    print_line([&](size_t i) { return columns[i].heading; });
    for (const Json& row : rows) print_line([&](size_t i) { return cell(row, columns[i].member); });
}

void print_object(bool json, const Json& object) {
    if (json) {
        std::cout << object.dump(2) << "\n";
        return;
    }
    size_t width = 0;
    for (auto& [name, value] : object.items()) width = std::max(width, name.size());
    for (auto& [name, value] : object.items()) {
        std::string label = name;
        std::replace(label.begin(), label.end(), '_', ' ');
        std::cout << label << ":" << std::string(width - name.size() + 1, ' ') << cell(object, name)
                  << "\n";
    }
}

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

std::string size_text(uint64_t bytes) {
    static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = double(bytes);
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < std::size(kUnits)) {
        value /= 1024;
        unit++;
    }
    char text[32];
    std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
    return text;
}

uint64_t parse_size(const std::string& text) {
    static const std::string kSuffixes = "KMGTP";
    size_t digits = 0;
    uint64_t value = 0;
    while (digits < text.size() && std::isdigit(static_cast<unsigned char>(text[digits]))) {
        const uint64_t digit = uint64_t(text[digits] - '0');
        if (value > (std::numeric_limits<uint64_t>::max() - digit) / 10)
            throw Failure("size '" + text + "' is too large", kExitUsage);
        value = value * 10 + digit;
        digits++;
    }
    unsigned shift = 0;
    if (digits + 1 == text.size()) {
        const size_t suffix =
            kSuffixes.find(char(std::toupper(static_cast<unsigned char>(text[digits]))));
        if (suffix != std::string::npos) {
            shift = unsigned(suffix + 1) * 10;
            digits++;
        }
    }
    if (text.empty() || digits != text.size() || !std::isdigit(static_cast<unsigned char>(text[0])))
        throw Failure("'" + text + "' is no size; write bytes, or a number with K, M, G, T or P",
                      kExitUsage);
    if (shift != 0 && value > std::numeric_limits<uint64_t>::max() >> shift)
        throw Failure("size '" + text + "' is too large", kExitUsage);
    return value << shift;
}

std::string time_text(uint64_t realtime_ns) {
    const time_t seconds = time_t(realtime_ns / 1'000'000'000);
    tm local{};
    localtime_r(&seconds, &local);
    char date[32], text[48];
    std::strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &local);
    std::snprintf(text, sizeof text, "%s.%03u", date,
                  unsigned(realtime_ns % 1'000'000'000 / 1'000'000));
    return text;
}

std::string uuid_text(const uint8_t uuid[16]) {
    std::string text;
    for (int i = 0; i < 16; i++) {
        char byte[4];
        std::snprintf(byte, sizeof byte, "%02x", uuid[i]);
        text += byte;
        if (i == 3 || i == 5 || i == 7 || i == 9) text += '-';
    }
    return text;
}

std::string fixed_text(const char* text, size_t capacity) {
    std::string result(text, std::find(text, text + capacity, '\0'));
    for (char& c : result)
        if (!std::isprint(static_cast<unsigned char>(c))) c = '?';
    return result;
}

}  // namespace exo::tool
