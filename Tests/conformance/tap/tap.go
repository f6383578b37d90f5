// SPDX-License-Identifier: Apache-2.0

// Package tap stands in for the TAP writer that runtime-tools' validation is written against and that Debian has no
// package of: the calls it makes, in the Test Anything Protocol, version 13.
package tap

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
)

// T counts what was said.
type T struct {
	count   int
	planned bool
	// todo counts on for whom this one speaks.
	todo *T
}

// New gives a test run that has said nothing yet.
func New() *T { return &T{} }

// Header says the version, and the plan when it is known.
func (t *T) Header(count int) {
	fmt.Println("TAP version 13")
	if count > 0 {
		fmt.Printf("1..%d\n", count)
		t.planned = true
	}
}

// AutoPlan says afterwards how many there were.
func (t *T) AutoPlan() {
	if !t.planned {
		fmt.Printf("1..%d\n", t.count)
	}
}

// Ok says one result.
func (t *T) Ok(good bool, what string) {
	t.count++
	word := "ok"
	if !good {
		word = "not ok"
	}
	if t.todo != nil {
		t.todo.count = t.count
		what += " # TODO"
	}
	fmt.Printf("%s %d - %s\n", word, t.count, what)
}

// Pass says a good one.
func (t *T) Pass(what string) { t.Ok(true, what) }

// Fail says a bad one.
func (t *T) Fail(what string) { t.Ok(false, what) }

// Todo gives one whose bad results are expected for now, in the protocol's words.
func (t *T) Todo() *T { return &T{count: t.count, planned: true, todo: t} }

// Skip says that some were not looked at.
func (t *T) Skip(count int, what string) {
	for ; count > 0; count-- {
		t.count++
		fmt.Printf("ok %d # SKIP %s\n", t.count, what)
	}
}

// DeepEqual compares two values.
func (t *T) DeepEqual(found, wanted interface{}, what string) {
	t.Ok(reflect.DeepEqual(found, wanted), what)
}

// Diagnostic says something beside.
func (t *T) Diagnostic(text string) {
	fmt.Println("# " + strings.Replace(text, "\n", "\n# ", -1))
}

// Diagnosticf says something beside.
func (t *T) Diagnosticf(format string, values ...interface{}) {
	t.Diagnostic(fmt.Sprintf(format, values...))
}

// YAML says details: JSON is YAML too.
func (t *T) YAML(value interface{}) error {
	text, err := json.Marshal(value)
	if err == nil {
		fmt.Fprintf(os.Stdout, "  ---\n  %s\n  ...\n", text)
	}
	return err
}
