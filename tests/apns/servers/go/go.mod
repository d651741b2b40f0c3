module peer

go 1.18

require golang.org/x/net v0.30.0

require golang.org/x/text v0.19.0 // indirect
