// SPDX-License-Identifier: Apache-2.0

// Package extract is the licence audit's `extract` in Go: who holds the copyright since when, and what is permitted,
// required and forbidden. It is a port of examples/licence_audit/extract.py and gives the same answers: Go's regular
// expressions know ASCII only where Python's know Unicode, and have no lookbehind, so both are spelled out here.
package extract

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"nervenet.dev/examples/go/work"
	pb "nervenet.dev/nervenet/v1"
)

type distribution struct {
	Files []struct{ Text, Kind string }
}

type holder struct {
	Name  string `json:"name"`
	Years string `json:"years"`
}

type clause struct {
	Label string `json:"label"`
	Quote string `json:"quote"`
}

type facts struct {
	Holders  []holder `json:"holders"`
	Permits  []clause `json:"permits"`
	Requires []clause `json:"requires"`
	Forbids  []clause `json:"forbids"`
	Patents  []string `json:"patents"`
	Notices  []string `json:"notices"`
	Method   string   `json:"method"`
}

// Handle is the capability.
func Handle(_ context.Context, task *work.Task) (*pb.Payload, error) {
	var given distribution
	if err := json.Unmarshal([]byte(task.Input.GetJson()), &given); err != nil {
		return nil, work.Invalid(err)
	}
	var texts, licences []string
	for _, file := range given.Files {
		texts = append(texts, file.Text)
		if file.Kind == "licence" || file.Kind == "" {
			licences = append(licences, file.Text)
		}
	}
	said := sentences(licences)
	text, err := json.Marshal(facts{
		Holders:  holders(texts),
		Permits:  clauses(permits, said),
		Requires: clauses(requires, said),
		Forbids:  clauses(forbids, said),
		Patents:  quotes(patent, said, 3),
		Notices:  quotes(notice, said, 3),
		Method:   "rules",
	})
	return work.JSON(text), err
}

const (
	space   = `[\s\v\x1c-\x1f\x{85}\p{Z}]`
	word    = `[\p{L}\p{N}_]`
	notWord = `[^\p{L}\p{N}_]`
	oneYear = `(?:\p{Nd}{4}|present)(?:` + space + `*(?:[-–,]|to)` + space + `*(?:\p{Nd}{2,4}|present))*`
)

var (
	copyright = regexp.MustCompile(`(?im)^` + notWord + `*(?:portions` + space + `+)?copyright` + space + `*(\(c\)|©|&copy;)?` +
		space + `*(` + oneYear + `)?[,:]?` + space + `*(?:\(c\)|©)?` + space + `*(?:by` + space + `+)?([^\n]{2,160})`)
	boilerplate = regexp.MustCompile(`(?i)^(\[|<|\{|owner|holder|notice|statement|interest|disclaimer|and |or |in |of |to |for )`)
	address     = regexp.MustCompile(`(?i)<[^>]*>|https?://[^\s\v\x1c-\x1f\x{85}\p{Z}]+|\(see .*|copyright` + space + `*(\(c\)|©)?`)
	tail        = regexp.MustCompile(`(?i)[\s\v\x1c-\x1f\x{85}\p{Z},;:]+all rights reserved` + notWord + `*$|` + space + `+\([^)]*\)` +
		notWord + `*$|` + space + `+(` + oneYear + `)` + notWord + `*$`)
	fullStop = regexp.MustCompile(word + `{5}\.$`)
	letters  = regexp.MustCompile(`[\p{L}\p{Nl}\p{No}]{2}`)
	aYear    = regexp.MustCompile(`present|\b(?:19|20)\d\d\b`)
	margin   = regexp.MustCompile(`(?m)^[\s\v\x1c-\x1f\x{85}\p{Z}#*>/-]+`)
	patent   = regexp.MustCompile(`(?i)\bpatents?\b`)
	notice   = regexp.MustCompile(`(?i)\bnotice\b`)
)

// holders is everyone whom a copyright line names, in order of appearance, with all their years in one span.
func holders(texts []string) []holder {
	found, years := []holder{}, map[string][]string{}
	for _, text := range texts {
		for _, line := range copyright.FindAllStringSubmatch(text, -1) {
			name, when := named(line[3])
			when = append(when, aYear.FindAllString(strings.ToLower(line[2]), -1)...)
			if name == "" || (len(when) == 0 && line[1] == "") { // "Copyright" alone begins many a sentence of a licence
				continue
			}
			if _, known := years[name]; !known {
				found = append(found, holder{Name: name})
			}
			years[name] = append(years[name], when...)
		}
	}
	for i := range found {
		found[i].Years = span(years[found[i].Name])
	}
	return found
}

// named is the holder without address and flourish, and the years that follow the name instead of preceding it.
func named(raw string) (string, []string) {
	name, years := strings.Join(fields(address.ReplaceAllString(raw, " ")), " "), []string(nil)
	for at := tail.FindStringSubmatchIndex(name); at != nil; at = tail.FindStringSubmatchIndex(name) {
		if at[2] >= 0 {
			years = append(years, aYear.FindAllString(strings.ToLower(name[at[2]:at[3]]), -1)...)
		}
		name = name[:at[0]]
	}
	name = strings.Trim(name, " ,;:*#-–\"'")
	if fullStop.MatchString(name) { // a full stop, but not that of "Inc."
		name = name[:len(name)-1]
	}
	if utf8.RuneCountInString(name) > 90 || !letters.MatchString(name) || boilerplate.MatchString(name) {
		return "", years
	}
	return name, years
}

func span(years []string) string {
	if len(years) == 0 {
		return ""
	}
	first, last := slices.Min(years), slices.Max(years) // "present" sorts behind every year
	if first == last {
		return first
	}
	return first + "–" + last
}

func fields(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f })
}

// sentences are on one line each, twice the same only once.
func sentences(texts []string) []string {
	var found []string
	known := map[string]bool{}
	for _, text := range texts {
		flat := []rune(strings.Join(fields(margin.ReplaceAllString(text, " ")), " "))
		begin := 0
		for i := 0; i <= len(flat); i++ {
			if i < len(flat) && !between(flat, i) {
				continue
			}
			if sentence := string(flat[begin:i]); !known[sentence] {
				known[sentence] = true
				found = append(found, sentence)
			}
			begin = i + 1
		}
	}
	return found
}

// between says whether a sentence ends before this space and another one begins behind it.
func between(flat []rune, i int) bool {
	if flat[i] != ' ' || i < 2 || i+1 >= len(flat) {
		return false
	}
	end, next := flat[i-2], flat[i+1]
	return strings.ContainsRune(".;:", flat[i-1]) && ('a' <= end && end <= 'z' || strings.ContainsRune(`")”`, end)) &&
		('A' <= next && next <= 'Z' || '0' <= next && next <= '9' || strings.ContainsRune(`("“*`, next))
}

func clauses(rules []rule, said []string) []clause {
	found := []clause{}
	for _, one := range rules {
		if quoted := quotes(one.pattern, said, 1); len(quoted) > 0 {
			found = append(found, clause{one.label, quoted[0]})
		}
	}
	return found
}

func quotes(pattern *regexp.Regexp, said []string, most int) []string {
	found := []string{}
	for _, sentence := range said {
		if at := pattern.FindStringIndex(sentence); at != nil && len(found) < most {
			found = append(found, around(sentence, at[0], at[1]))
		}
	}
	return found
}

// around is the sentence, or as much of it around the finding as a reader wants.
func around(sentence string, start, end int) string {
	const quote = 220
	start, end = utf8.RuneCountInString(sentence[:start]), utf8.RuneCountInString(sentence[:end])
	text := []rune(sentence)
	if len(text) <= quote {
		return sentence
	}
	first := max(0, min(start, end-quote/2)-30)
	if first > 0 {
		if at := slices.Index(text[first:], ' '); at >= 0 {
			first += at + 1
		} else {
			first = 0
		}
	}
	cut := string(text[first:min(len(text), first+quote)])
	cut = strings.TrimSpace(cut[:max(0, strings.LastIndex(cut, " "))])
	if first > 0 {
		cut = "… " + cut
	}
	if first+quote < len(text) {
		cut += " …"
	}
	return cut
}
