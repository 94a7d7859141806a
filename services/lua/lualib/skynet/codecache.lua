-- Skynet caches the code of services and can clear the cache; here each service compiles its own code.
return {
	loadfile = loadfile,
	clear = function() end,
	mode = function() end,
}
