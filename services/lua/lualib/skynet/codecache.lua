-- Skynet shares the code of services between them and can forget it; here each service compiles its own.
return {
	loadfile = loadfile,
	clear = function() end,
	mode = function() end,
}
