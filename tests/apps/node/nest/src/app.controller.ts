import { Body, Controller, Get, NotFoundException, Param, ParseIntPipe, Post } from '@nestjs/common';
import { AppService } from './app.service';
import { CreateCatDto } from './create-cat.dto';

@Controller()
export class AppController {
  constructor(private readonly appService: AppService) {}

  @Get()
  getHello(): string {
    return this.appService.getHello();
  }

  @Get('cats/:id')
  getCat(@Param('id', ParseIntPipe) id: number) {
    if (id > 9) throw new NotFoundException(`no cat ${id}`);
    return { id, name: 'Tom' };
  }

  @Post('cats')
  create(@Body() cat: CreateCatDto) {
    return { ...cat, isDto: cat instanceof CreateCatDto };
  }
}
