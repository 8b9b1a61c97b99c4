// SPDX-License-Identifier: MIT
#include "tools/exo/records.h"

#include "tools/exo/command.h"

namespace exo::tool {

namespace {

// "Name: text" if the line starts so; the text without the space.
bool field(std::string_view line, std::string_view name, std::string& text) {
    if (!line.starts_with(name) || line.size() <= name.size() || line[name.size()] != ':')
        return false;
    line.remove_prefix(name.size() + 1);
    while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
    text = line;
    return true;
}

}  // namespace

void read_tsv(std::istream& input, const std::string& name, const TakeRecord& take) {
    std::string line;
    for (size_t number = 1; std::getline(input, line); number++) {
        const size_t tab = line.find('\t');
        if (tab == std::string::npos)
            throw Failure(name + ":" + std::to_string(number) +
                          ": no tab between key and value (or is it another --format?)");
        const std::string_view whole = line;
        take(whole.substr(0, tab), whole.substr(tab + 1));
    }
}

void read_debian_packages(std::istream& input, const std::string& name, const TakeRecord& take) {
    std::string line, package, version, description;
    size_t number = 0, packages = 0;
    auto finish = [&] {
        if (!package.empty()) {
            take(package, version + " " + description);
            packages++;
        }
        package.clear();
        version.clear();
        description.clear();
    };
    while (std::getline(input, line)) {
        number++;
        if (line.empty()) {
            finish();
            continue;
        }
        // A list that begins with another name is joined to this one without an empty line.
        std::string next;
        if (field(line, "Package", next)) {
            finish();
            package = next;
        } else if (!field(line, "Version", version)) {
            field(line, "Description", description);
        }
    }
    finish();
    if (number && !packages)
        throw Failure(name +
                      ": no package in it; is it a compressed list? "
                      "(/usr/lib/apt/apt-helper cat-file prints one)");
}

}  // namespace exo::tool
