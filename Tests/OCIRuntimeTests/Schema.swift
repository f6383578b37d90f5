// SPDX-License-Identifier: Apache-2.0
//
// JSON Schema, draft 4, as far as the runtime specification's own schemas (`schemas/`, as they are published) go. A keyword
// that is not known here ends the test: what can't be judged is not passed.

import JSONFormat
import Kernel

final class Schemas {
    private var documents: [String: JSONValue] = [:]
    private let directory: String

    init(directory: String = "\(String(describing: #filePath).dropLast("/Schema.swift".count))/schemas") {
        self.directory = directory
    }

    private func document(_ name: String) throws -> JSONValue {
        if let found = documents[name] { return found }
        let found = try parseJSON(try readFile("\(directory)/\(name)"))
        documents[name] = found
        return found
    }

    /// What is wrong with `value` by the schema of a file; empty when nothing is.
    func faults(_ value: JSONValue, by file: String) throws -> [String] {
        try check(value, by: try document(file), in: file, at: "")
    }

    private func follow(_ reference: String, from file: String) throws -> (JSONValue, String)? {
        let parts = reference.split(separator: "#", omittingEmptySubsequences: false)
        let name = parts[0].isEmpty ? file : String(parts[0])
        // Other platforms' are not here.
        guard exists("\(directory)/\(name)") else { return nil }
        var found = try document(name)
        for step in parts[1].split(separator: "/") {
            guard let next = found[String(step)] else { throw SchemaError("\(reference) leads nowhere") }
            found = next
        }
        return (found, name)
    }

    private func check(
        _ value: JSONValue, by schema: JSONValue, in file: String, at place: String
    ) throws -> [String] {
        guard case .object(let keywords) = schema else { throw SchemaError("\(file): no schema at \(place)") }
        if case .string(let reference) = schema["$ref"] {
            // In draft 4 a reference stands for all of it.
            guard let (target, name) = try follow(reference, from: file) else { return [] }
            return try check(value, by: target, in: name, at: place)
        }
        var faults: [String] = []
        func fault(_ text: String) { faults.append("\(place): \(text)") }
        for keyword in keywords {
            switch (keyword.name, keyword.value) {
            case ("description", _), ("$schema", _), ("definitions", _): break
            case ("type", .string(let type)): if !isOf(type, value) { fault("is not of type \(type)") }
            case ("enum", .array(let choices)):
                if !choices.contains(value) { fault("is none of the choices") }
            case ("minimum", let bound):
                if let number = real(value), let least = real(bound), number < least { fault("too small") }
            case ("maximum", let bound):
                if let number = real(value), let most = real(bound), number > most { fault("too large") }
            case ("minItems", .integer(let count)):
                if case .array(let items) = value, items.count < count { fault("too few") }
            case ("pattern", .string(let pattern)):
                if case .string(let text) = value, !(try matches(text, pattern)) { fault("not \(pattern)") }
            case ("required", .array(let names)):
                guard case .object = value else { continue }
                for case .string(let name) in names where value[name] == nil { fault("lacks \(name)") }
            case ("properties", .object(let properties)):
                for property in properties {
                    guard let member = value[property.name] else { continue }
                    faults += try check(member, by: property.value, in: file, at: "\(place).\(property.name)")
                }
            case ("additionalProperties", .object):
                guard case .object(let members) = value, schema["properties"] == nil else { continue }
                for member in members {
                    faults += try check(
                        member.value, by: keyword.value, in: file, at: "\(place).\(member.name)")
                }
            case ("patternProperties", .object(let patterns)):
                guard case .object(let members) = value else { continue }
                guard patterns.count == 1, patterns[0].name == ".{1,}" else {
                    throw SchemaError("unknown patternProperties")
                }
                for member in members where !member.name.isEmpty {
                    faults += try check(
                        member.value, by: patterns[0].value, in: file, at: "\(place).\(member.name)")
                }
            case ("items", .object):
                guard case .array(let items) = value else { continue }
                for (index, item) in items.enumerated() {
                    faults += try check(item, by: keyword.value, in: file, at: "\(place)[\(index)]")
                }
            case ("allOf", .array(let all)):
                for part in all { faults += try check(value, by: part, in: file, at: place) }
            case ("anyOf", .array(let any)):
                let each = try any.map { try check(value, by: $0, in: file, at: place) }
                if !each.contains(where: \.isEmpty) { faults += each.first ?? [] }
            default: throw SchemaError("\(file): keyword \(keyword.name) is not known")
            }
        }
        return faults
    }
}

struct SchemaError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

private func isOf(_ type: String, _ value: JSONValue) -> Bool {
    switch value {
    case .null: type == "null"
    case .bool: type == "boolean"
    case .integer, .unsigned: type == "integer" || type == "number"
    case .double: type == "number"
    case .string: type == "string"
    case .array: type == "array"
    case .object: type == "object"
    }
}

/// Exact for what the schemas' bounds ask: each is beyond the values next to it by more than a double's step.
private func real(_ value: JSONValue) -> Double? {
    switch value {
    case .integer(let number): Double(number)
    case .unsigned(let number): Double(number)
    case .double(let number): number
    default: nil
    }
}

/// The patterns there are.
private func matches(_ text: String, _ pattern: String) throws -> Bool {
    func all(_ text: some StringProtocol, _ allowed: String) -> Bool { text.allSatisfy(allowed.contains) }
    let digits = "0123456789"
    switch pattern {
    case "^[cbup]$": return text.count == 1 && all(text, "cbup")
    case "^RLIMIT_[A-Z]+$":
        return text.hasPrefix("RLIMIT_") && text.count > 7
            && all(text.dropFirst(7), "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    case "^[0-9, -]*$": return all(text, digits + ", -")
    case "^[1-9][0-9]*[KMG]B$":
        return text.count > 2 && text.hasSuffix("B") && "KMG".contains(text.dropLast().suffix(1))
            && all(text.dropLast(2), digits) && text.first != "0"
    case "^CAP_[A-Z_]+$":
        return text.hasPrefix("CAP_") && text.count > 4
            && all(text.dropFirst(4), "ABCDEFGHIJKLMNOPQRSTUVWXYZ_")
    case "^MB:[^\\n]*$": return text.hasPrefix("MB:") && !text.contains("\n")
    default: throw SchemaError("pattern \(pattern) is not known")
    }
}
