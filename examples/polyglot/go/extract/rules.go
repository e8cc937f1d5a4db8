// SPDX-License-Identifier: Apache-2.0

package extract

import "regexp"

// rule finds a clause by the words that lawyers use for it.
type rule struct {
	label   string
	pattern *regexp.Regexp
}

func when(label, pattern string) rule { return rule{label, regexp.MustCompile(`(?i)` + pattern)} }

var (
	permits = []rule{
		when("use",
			`permission[^.]{0,200}\bto (use|deal)\b|redistribution and use|license to (use|reproduce)|\bto use, copy`),
		when("copying and distribution",
			`\b(copy|reproduce)\b[^.]{0,80}\bdistribut|redistribution and use|publish, distribute`),
		when("modification",
			`\bmodify\b|with or without\s+modification|prepare derivative works|modified versions`),
		when("sublicensing",
			`\bsublicense\b`),
		when("selling",
			`\bsell\b copies|\bsell\b[^.]{0,40}\b(work|contribution)|sell, offer`),
		when("use of patents",
			`patent license`),
	}
	requires = []rule{
		when("keeping the copyright notice",
			`(above|this|the) copyright\s+notice[^.]{0,160}\b(must|shall|retain|appear|includ|reproduce)|\bretain\b[^.]{0,80}copyright`),
		when("passing on the licence text",
			`permission\s+notice (shall|appear)|this\s+list\s+of\s+conditions|copy of this license|text of this license`),
		when("stating changes",
			`(prominent notices stating|stating that you changed|summary of the changes)`),
		when("keeping the NOTICE file",
			`"?notice"? text file`),
		when("disclosing the source",
			`(source code form)[^.]{0,120}(must|available)|corresponding source|machine-readable source`),
		when("the same licence for changes",
			`(must|shall)[^.]{0,120}under (the terms of )?this license|licensed[^.]{0,60}as a whole[^.]{0,60}under this`),
	}
	forbids = []rule{
		when("using names to endorse",
			`(neither the name|names?)[^.]{0,200}(endorse|promote|advertis)`),
		when("using trademarks",
			`(does not grant|no right|not grant)[^.]{0,120}trademark`),
		when("holding the authors liable",
			`\b(in no event|under no legal theory)\b[^.]{0,400}\bliab`),
		when("relying on a warranty",
			`"?as is"?|without warrant(y|ies)`),
	}
)
