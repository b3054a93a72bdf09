// Reads resources as JSON, one a line, and says of each what others say of it: the status that kstatus computes, and
// the values of the CEL expressions that the line brings, as Flux would evaluate them.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/google/cel-go/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

const lineBytesMax = 16 << 20

type question struct {
	Object      json.RawMessage   `json:"object"`
	Expressions map[string]string `json:"expressions"`
}

type answer struct {
	Status  string          `json:"status"`
	Message string          `json:"message"`
	Values  map[string]bool `json:"values"`
}

func judged(line []byte) (*answer, error) {
	var asked question
	if err := json.Unmarshal(line, &asked); err != nil {
		return nil, err
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(asked.Object); err != nil {
		return nil, err
	}
	result, err := status.Compute(object)
	if err != nil {
		return nil, err
	}
	values := map[string]bool{}
	for name, expression := range asked.Expressions {
		if values[name], err = evaluated(expression, object.Object); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return &answer{Status: result.Status.String(), Message: result.Message, Values: values}, nil
}

// evaluated takes the top-level fields of the object as variables, as Flux does.
func evaluated(expression string, object map[string]any) (bool, error) {
	options := []cel.EnvOption{}
	for name := range object {
		options = append(options, cel.Variable(name, cel.DynType))
	}
	environment, err := cel.NewEnv(options...)
	if err != nil {
		return false, err
	}
	compiled, issues := environment.Compile(expression)
	if issues != nil && issues.Err() != nil {
		return false, issues.Err()
	}
	program, err := environment.Program(compiled)
	if err != nil {
		return false, err
	}
	value, _, err := program.Eval(object)
	if err != nil {
		return false, err
	}
	said, is := value.Value().(bool)
	if !is {
		return false, fmt.Errorf("%v is neither true nor false", value)
	}
	return said, nil
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, lineBytesMax)
	answers := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		found, err := judged(lines.Bytes())
		if err == nil {
			err = answers.Encode(found)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
